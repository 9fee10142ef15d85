"""The squash is torchvision's of a PIL image and its mode-1 mask."""

import numpy as np
import pytest
import torchvision.transforms.functional as published
from PIL import Image

from concord.squash import SMALL_SIZE, squash_image, squash_mask

SIZES = [(1, 1), (1, 700), (700, 1), (32, 48), (256, 256), (500, 375), (1365, 2048), (4, 32_766)]


@pytest.mark.parametrize(("height", "width"), SIZES)
def test_images_are_squashed_as_torchvision_does(height: int, width: int) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (height, width, 3), dtype=np.uint8)
    expected = published.resize(Image.fromarray(pixels), [256, 256], published.InterpolationMode.BILINEAR)
    small = squash_image(pixels)
    assert small.dtype == np.uint8
    assert np.array_equal(small, np.asarray(expected))


@pytest.mark.parametrize(("height", "width"), SIZES)
def test_masks_are_squashed_as_torchvision_does(height: int, width: int) -> None:
    mask = np.where(np.random.default_rng(1).random((height, width)) > 0.3, 255, 0).astype(np.uint8)
    expected = published.resize(Image.fromarray(mask).convert("1"), [256, 256], published.InterpolationMode.BILINEAR)
    small = squash_mask(mask)
    assert small.dtype == np.uint8
    assert np.array_equal(small, np.asarray(expected))


def test_alpha_is_ignored() -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (60, 90, 4), dtype=np.uint8)
    assert np.array_equal(squash_image(pixels), squash_image(pixels[..., :3].copy()))


def test_an_empty_mask_stays_empty_and_a_full_one_full() -> None:
    assert not squash_mask(np.zeros((300, 500), np.uint8)).any()
    assert squash_mask(np.full((300, 500), 255, np.uint8)).all()


def test_a_foreground_between_the_sampled_pixels_is_not_lost() -> None:
    mask = np.zeros((2560, 2560), np.uint8)
    mask[1000, 2000] = 255
    small = squash_mask(mask)
    assert np.argwhere(small).tolist() == [[1000 * SMALL_SIZE // 2560, 2000 * SMALL_SIZE // 2560]]
