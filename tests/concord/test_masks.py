"""White is foreground from 128 up, whatever file the mask comes in."""

import io

import numpy as np
import pytest
from PIL import Image

from concord.errors import ImageTooLarge, InvalidImage, InvalidMask, UnsupportedImage
from concord.limits import Limits
from concord.masks import decode_mask, encode_mask, pack_mask, unpack_mask
from tests.concord.test_images import encode, noise

LIMITS = Limits()


def test_grey_edges_are_thresholded_at_128() -> None:
    grey = np.arange(256, dtype=np.uint8).reshape(16, 16)
    mask = decode_mask(encode(Image.fromarray(grey)), 16, 16, LIMITS)
    assert mask.dtype == np.uint8
    assert np.array_equal(mask, np.where(grey >= 128, 255, 0))


@pytest.mark.parametrize("mode", ["1", "L", "P", "RGB", "LA", "RGBA"])
def test_any_kind_of_mask_is_read(mode: str) -> None:
    grey = np.where(noise(12, 20) > 127, 255, 0).astype(np.uint8)
    mask = decode_mask(encode(Image.fromarray(grey).convert(mode)), 12, 20, LIMITS)
    assert np.array_equal(mask, grey)


def test_transparent_means_background() -> None:
    white = np.full((4, 6, 4), 255, np.uint8)
    white[:, :3, 3] = 0
    white[0, 5, 3] = 100
    mask = decode_mask(encode(Image.fromarray(white)), 4, 6, LIMITS)
    assert not mask[:, :3].any()
    assert mask[0, 5] == 0
    assert (mask[1:, 3:] == 255).all()


@pytest.mark.parametrize("value", [0, 255])
def test_a_mask_may_be_all_black_or_all_white(value: int) -> None:
    mask = decode_mask(encode_mask(np.full((9, 7), value, np.uint8)), 9, 7, LIMITS)
    assert (mask == value).all()


def test_a_jpeg_mask_comes_out_binary() -> None:
    grey = np.zeros((64, 64), np.uint8)
    grey[16:48, 16:48] = 255
    mask = decode_mask(encode(Image.fromarray(grey), "JPEG"), 64, 64, LIMITS)
    assert set(np.unique(mask)) == {0, 255}
    assert np.array_equal(mask, grey)


def test_another_size_is_refused_with_both_sizes() -> None:
    with pytest.raises(InvalidMask) as caught:
        decode_mask(encode_mask(np.zeros((48, 80), np.uint8)), 80, 48, LIMITS)
    assert str(caught.value) == "[invalid_mask] MASK: 80x48 pixels; allowed: the size of the image, 48x80 pixels"


def test_a_masks_own_orientation_is_applied() -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    stored = np.zeros((4, 6), np.uint8)
    stored[:, :3] = 255
    mask = decode_mask(encode(Image.fromarray(stored), exif=exif), 6, 4, LIMITS)
    assert (mask[:3] == 255).all()
    assert not mask[3:].any()


def test_errors_of_the_file_name_the_mask() -> None:
    with pytest.raises(InvalidImage, match="MASK"):
        decode_mask(b"", 4, 4, LIMITS)
    with pytest.raises(UnsupportedImage, match=r"MASK: 16 bits a channel"):
        decode_mask(encode(Image.new("I;16", (4, 4))), 4, 4, LIMITS)
    with pytest.raises(ImageTooLarge, match="MASK"):
        decode_mask(encode_mask(np.zeros((4, 4), np.uint8)), 4, 4, Limits(max_pixels=15))


def test_masks_are_written_as_8_bit_grey() -> None:
    mask = np.where(noise(30, 50) > 100, 255, 0).astype(np.uint8)
    written = Image.open(io.BytesIO(encode_mask(mask)))
    assert written.mode == "L"
    assert np.array_equal(np.asarray(written), mask)


@pytest.mark.parametrize("width", [1, 7, 8, 50])
def test_a_packed_mask_is_unpacked_as_it_was(width: int) -> None:
    mask = np.where(noise(30, width) > 100, 255, 0).astype(np.uint8)
    assert pack_mask(mask).nbytes <= mask.size // 8 + 30
    assert np.array_equal(unpack_mask(pack_mask(mask), width), mask)
