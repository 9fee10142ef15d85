"""A PSD opens as what it was made of: input, layer, mask, and the answer as its preview."""

import io

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from psd_tools import PSDImage
from psd_tools.constants import Resource

from concord_client.errors import InvalidInput
from concord_client.psd import MAX_SIDE, layered, layered_file
from tests.serving.pictures import encoded, middle, photograph, srgb_profile

BEFORE, MASK = photograph(120, 90), middle(120, 90)
AFTER = np.where(MASK[..., np.newaxis] > 0, 255 - BEFORE, BEFORE)


def opened(file: bytes) -> PSDImage:
    return PSDImage.open(io.BytesIO(file))


def flat(psd: PSDImage) -> np.ndarray:
    """All layers together, drawn anew."""
    return np.asarray(psd.composite(force=True, apply_icc=False).convert(psd.pil_mode))


def test_layers_mask_profile_and_preview_are_what_they_were():
    psd = opened(layered(BEFORE, AFTER, MASK, srgb_profile()))
    below, above = psd
    assert (below.name, above.name) == ("input", "harmonized")
    np.testing.assert_array_equal(np.asarray(below.topil(apply_icc=False).convert("RGB")), BEFORE)
    np.testing.assert_array_equal(np.asarray(psd.topil(apply_icc=False)), AFTER)
    np.testing.assert_array_equal(flat(psd), AFTER)
    left, top, right, bottom = above.mask.bbox
    shown = np.zeros_like(MASK)
    shown[top:bottom, left:right] = np.asarray(above.mask.topil())
    np.testing.assert_array_equal(shown, MASK)
    assert psd.image_resources.get_data(Resource.ICC_PROFILE) == srgb_profile()


@given(st.integers(1, 40), st.integers(1, 40), st.integers(0, 2**32 - 1))
@settings(max_examples=25, deadline=None)
def test_all_layers_together_are_the_answer(width, height, seed):
    random = np.random.default_rng(seed)
    before, after = random.integers(0, 256, (2, height, width, 3), np.uint8)
    mask = random.integers(0, 256, (height, width), np.uint8)
    after = np.where(random.random((height, width, 1)) < 0.5, after, before)
    np.testing.assert_array_equal(flat(opened(layered(before, after, mask))), after)


def test_an_empty_mask_is_a_layer_of_nothing():
    np.testing.assert_array_equal(flat(opened(layered(BEFORE, BEFORE, MASK * 0))), BEFORE)


def test_transparency_is_kept_where_nothing_changes():
    before = photograph(120, 90, channels=4)
    before[MASK > 0, 3] = 255
    after = np.where(MASK[..., np.newaxis] > 0, before ^ np.uint8([9, 9, 9, 0]), before)
    psd = opened(layered(before, after, MASK))
    np.testing.assert_array_equal(flat(psd)[MASK > 0], after[MASK > 0])
    np.testing.assert_array_equal(flat(psd)[..., 3], after[..., 3])
    np.testing.assert_array_equal(np.asarray(psd.topil())[MASK > 0], after[MASK > 0, :3])


def test_a_change_of_what_is_transparent_is_refused():
    before = np.zeros((4, 4, 4), np.uint8)
    after = before.copy()
    after[0, 0, 0] = 1
    with pytest.raises(InvalidInput, match="transparent where it changes"):
        layered(before, after, np.zeros((4, 4), np.uint8))


def test_a_side_beyond_the_format_is_refused_before_anything_is_made():
    long = np.zeros((1, MAX_SIDE + 1, 3), np.uint8)
    with pytest.raises(InvalidInput, match="at most 30000 pixels"):
        layered(long, long, long[..., 0])


def test_files_are_read_upright_and_a_grey_photograph_becomes_colour():
    exif = Image.Exif()
    exif[0x0112] = 6
    stored = photograph(90, 120, channels=1)
    upright = np.repeat(np.rot90(stored, -1), 3, axis=2)
    after = np.where(MASK[..., np.newaxis] > 0, 255 - upright, upright)
    file = layered_file(encoded(stored, exif=exif), encoded(after, icc_profile=srgb_profile()), encoded(MASK))
    np.testing.assert_array_equal(flat(opened(file)), after)


def test_what_is_no_picture_is_refused():
    with pytest.raises(InvalidInput, match="IMAGE"):
        layered_file(b"none", encoded(AFTER), encoded(MASK))
