"""PNG files of our own making are read by everybody, pixel by pixel."""

import io
import struct
from collections.abc import Iterator

import cv2
import numpy as np
import pytest
from PIL import Image

from concord.arrays import Pixels
from concord.png import decode_png, encode_png
from tests.serving.pictures import srgb_profile

SHAPES = [(1, 1), (1, 1, 3), (7, 5), (5, 7, 3), (7, 5, 4), (333, 1, 3), (1, 333, 4), (1500, 2100, 3)]


def pictures(shape: tuple[int, ...]) -> Iterator[Pixels]:
    generator = np.random.default_rng(0)
    yield generator.integers(0, 256, shape, np.uint8)
    yield np.zeros(shape, np.uint8)
    yield np.full(shape, 255, np.uint8)


def chunks(png: bytes) -> Iterator[tuple[bytes, int]]:
    place = 8
    while place < len(png):
        size, kind = struct.unpack(">I4s", png[place : place + 8])
        yield kind, size
        place += size + 12


@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_what_is_read_is_what_was_written(shape: tuple[int, ...]) -> None:
    for pixels in pictures(shape):
        png = encode_png(pixels)
        np.testing.assert_array_equal(np.asarray(Image.open(io.BytesIO(png))), pixels)
        again, profile = decode_png(png)
        np.testing.assert_array_equal(again, pixels)
        assert profile == b""
        seen = cv2.imdecode(np.frombuffer(png, np.uint8), cv2.IMREAD_UNCHANGED)
        if seen.ndim == 3:
            seen = seen[..., [2, 1, 0, 3][: seen.shape[2]]]
        np.testing.assert_array_equal(seen, pixels)


def test_the_same_pixels_give_the_same_bytes() -> None:
    first, second = (encode_png(next(pictures((1500, 2100, 3)))) for _ in range(2))
    assert first == second


def test_pixels_that_are_a_part_of_others_are_written_as_they_are() -> None:
    pixels = next(pictures((64, 64, 4)))[::2, 1:40, :3]
    np.testing.assert_array_equal(np.asarray(Image.open(io.BytesIO(encode_png(pixels)))), pixels)


def test_a_colour_profile_is_kept() -> None:
    png = encode_png(np.zeros((2, 2, 3), np.uint8), srgb_profile())
    assert Image.open(io.BytesIO(png)).info["icc_profile"] == srgb_profile()
    assert decode_png(png)[1] == srgb_profile()
    assert [kind for kind, _ in chunks(png)] == [b"IHDR", b"iCCP", b"IDAT", b"IEND"]


def test_no_chunk_is_larger_than_readers_take() -> None:
    sizes = [size for kind, size in chunks(encode_png(next(pictures((2500, 3000, 3))))) if kind == b"IDAT"]
    assert len(sizes) > 1 and max(sizes) < 8_000_000


def another() -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(next(pictures((64, 48, 3)))).save(buffer, "PNG")
    return buffer.getvalue()


@pytest.mark.parametrize(
    "png", [another(), b"", b"no picture", b"no picture at all", encode_png(np.zeros((9, 9), np.uint8))[:60]]
)
def test_files_of_others_are_left_to_others(png: bytes) -> None:
    with pytest.raises(ValueError, match="PNG"):
        decode_png(png)
