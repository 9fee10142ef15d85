"""The squash is torchvision's of a PIL image and its mode-1 mask."""

import numpy as np
import pytest
import torch
import torchvision.transforms.functional as published
from PIL import Image

from concord.squash import SMALL_SIZE, latent_mask, squash_image, squash_mask, squash_result

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


@pytest.mark.parametrize("size", [256, 512, 768, 1024])
def test_every_size_is_squashed_as_torchvision_does(size: int) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (375, 500, 3), dtype=np.uint8)
    mask = np.where(np.random.default_rng(1).random((375, 500)) > 0.3, 255, 0).astype(np.uint8)
    expected = published.resize(Image.fromarray(pixels), [size, size], published.InterpolationMode.BILINEAR)
    expected_mask = published.resize(Image.fromarray(mask), [size, size], published.InterpolationMode.NEAREST)
    assert np.array_equal(squash_image(pixels, size), np.asarray(expected))
    assert np.array_equal(squash_mask(mask, size), np.asarray(expected_mask) // 255)


@pytest.mark.parametrize("size", [256, 512, 1024])
def test_the_latents_mask_is_torch_s_nearest(size: int) -> None:
    small = np.random.default_rng(2).integers(0, 2, (size, size), dtype=np.uint8)
    expected = torch.nn.functional.interpolate(torch.from_numpy(small)[None, None].float(), (size // 8, size // 8))[0]
    assert np.array_equal(latent_mask(small), expected.numpy())


def test_a_foreground_between_the_latents_samples_is_not_lost() -> None:
    small = np.zeros((512, 512), np.uint8)
    small[100, 203] = 1
    assert np.argwhere(latent_mask(small)).tolist() == [[0, 100 // 8, 203 // 8]]
    assert not latent_mask(np.zeros((512, 512), np.uint8)).any()


def test_results_are_squashed_as_pixels_are() -> None:
    pixels = np.random.default_rng(3).integers(0, 256, (512, 512, 3), dtype=np.uint8)
    result = np.moveaxis(pixels, 2, 0).astype(np.float32) / 255
    squashed = np.moveaxis(squash_result(result, 256), 0, 2) * 255
    np.testing.assert_allclose(squashed, squash_image(pixels, 256), atol=1.01)
