"""HEIC and AVIF are read as other formats are; a bomb is refused by its header, and a broken file by name."""

import re
import struct
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from concord.errors import ConcordError, ImageTooLarge, InvalidImage, TooComplex, UnsupportedImage
from concord.images import cheap_file, decode_image, open_image, read_header
from concord.limits import MAX_COUNTS, Limits
from tests.serving.pictures import encoded, srgb_profile

LIMITS = Limits()
PLAIN, TURNED = ((Path(__file__).parent / "heic" / f"{name}.heic").read_bytes() for name in ("plain", "turned"))
"""`gradient`, written by libheif: as it is, and with a profile and turned by a quarter (`irot`)."""


def gradient() -> np.ndarray:
    y, x = np.mgrid[:48, :64]
    return np.stack([x * 3, y * 4, (x + y) * 2], axis=2).astype(np.uint8)


def avif(**options: object) -> bytes:
    return encoded(gradient(), "AVIF", quality=90, **options)


def turned() -> Image.Exif:
    exif = Image.Exif()
    exif[0x0112] = 6
    return exif


@pytest.mark.parametrize("file", [PLAIN, avif()], ids=["heic", "avif"])
def test_a_picture_is_read(file):
    pixels = decode_image(file, LIMITS).pixels
    assert pixels.shape == (48, 64, 3)
    assert np.abs(pixels.astype(int) - gradient()).mean() < 4
    assert open_image(cheap_file(file, LIMITS, "MASK"), LIMITS, "MASK").size == (64, 48)


@pytest.mark.parametrize("file", [TURNED, avif(exif=turned(), icc_profile=srgb_profile())], ids=["heic", "avif"])
def test_a_picture_is_turned_upright_and_keeps_its_profile(file):
    decoded = decode_image(file, LIMITS)
    assert np.abs(decoded.pixels.astype(int) - np.rot90(gradient(), -1)).mean() < 6
    assert decoded.icc_profile[36:40] == b"acsp"


def test_transparency_is_kept():
    pixels = np.dstack([gradient(), np.full((48, 64), 128, np.uint8)])
    assert (decode_image(encoded(pixels, "AVIF", quality=100), LIMITS).pixels[..., 3] == 128).all()


@pytest.mark.parametrize("file", [PLAIN, avif()], ids=["heic", "avif"])
def test_a_bomb_is_refused_by_its_header(file, monkeypatch):
    monkeypatch.setattr("concord.images.decoded_apart", None)
    at = file.index(b"ispe") + 8
    for size, limit in (((30_000, 30_000), "pixels"), ((40_000, 1), "sides"), ((0, 64), "not a readable image")):
        with pytest.raises((ImageTooLarge, InvalidImage), match=limit):
            decode_image(file[:at] + struct.pack(">II", *size) + file[at + 8 :], LIMITS)


@pytest.mark.parametrize("file", [PLAIN, avif()], ids=["heic", "avif"])
def test_a_picture_that_is_larger_than_its_header_says_never_passes_the_limits(file):
    at = file.index(b"ispe") + 8
    try:
        decoded = decode_image(file[:at] + struct.pack(">II", 10, 10) + file[at + 8 :], Limits(max_pixels=1000))
    except ConcordError as error:
        assert error.http_status < 500
    else:
        assert decoded.pixels[..., 0].size <= 1000


def test_more_boxes_than_a_reader_should_see_are_refused():
    many = struct.pack(">I4s", 8, b"free") * (MAX_COUNTS["parts"] + 1)
    with pytest.raises(TooComplex, match="too many parts"):
        read_header(PLAIN[:28] + many + PLAIN[28:], LIMITS, "IMAGE")


def test_an_animation_a_video_and_ten_bits_are_refused_by_name():
    animation = avif(save_all=True, append_images=[Image.fromarray(255 - gradient())])
    with pytest.raises(UnsupportedImage, match="animation"):
        decode_image(animation, LIMITS)
    with pytest.raises(UnsupportedImage, match="video"):
        decode_image(b"\0\0\0\x18ftypisom" + bytes(100), LIMITS)
    deep = bytearray(PLAIN)
    deep[PLAIN.index(b"hvcC") + 4 + 17] |= 2
    with pytest.raises(UnsupportedImage, match="10 bits a channel"):
        decode_image(bytes(deep), LIMITS)


@pytest.mark.parametrize("file", [PLAIN, avif()], ids=["heic", "avif"])
@pytest.mark.parametrize("share", [0.1, 0.5, 0.8])
def test_a_truncated_file_is_refused(file, share):
    with pytest.raises(InvalidImage):
        decode_image(file[: int(len(file) * share)], LIMITS)


@given(st.data())
@settings(max_examples=300, deadline=None)
def test_no_header_breaks_its_reader(data):
    file = bytearray(data.draw(st.sampled_from([PLAIN, TURNED])))
    for _ in range(data.draw(st.integers(1, 6))):
        file[data.draw(st.integers(12, 500))] = data.draw(st.integers(0, 255))
    try:
        read_header(bytes(file[: data.draw(st.integers(12, len(file)))]), LIMITS, "IMAGE")
    except ConcordError as error:
        assert re.match(r"\[\w+\] IMAGE: ", str(error))


@pytest.mark.parametrize("seed", range(4))
def test_a_damaged_file_ends_in_words(seed):
    random = np.random.default_rng(seed)
    file = np.frombuffer(PLAIN if seed % 2 else avif(), np.uint8).copy()
    places = random.integers(28, len(file), 30)
    file[places] = random.integers(0, 256, 30)
    try:
        decode_image(file.tobytes(), LIMITS)
    except ConcordError as error:
        assert error.http_status < 500
