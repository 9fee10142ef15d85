"""The change made at small size arrives at full size, inside the mask and nowhere else."""

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from concord.errors import ConcordError
from concord.scenes.photographs import HELD_OUT_FROM, make_photo_composite
from concord.squash import SMALL_SIZE, squash_image, squash_mask
from concord.transfer import alpha, transfer


def texture(height: int, width: int, seed: int = 0) -> NDArray[np.uint8]:
    """Detail at every scale, as a photograph has it."""
    generator = np.random.default_rng(seed)
    total = np.zeros((height, width, 3))
    for cells in (3, 9, 27, 81, 243):
        coarse = generator.normal(0, 1 / np.sqrt(cells), (cells, cells, 3))
        total += cv2.resize(coarse, (width, height), interpolation=cv2.INTER_LINEAR)
    return np.clip(128 + 90 * total, 5, 250).astype(np.uint8)


def disc(height: int, width: int, radius: float = 0.3) -> NDArray[np.uint8]:
    y, x = np.mgrid[0:height, 0:width]
    inside = ((y + 0.5) / height - 0.5) ** 2 + ((x + 0.5) / width - 0.5) ** 2 < radius**2
    return np.where(inside, 255, 0).astype(np.uint8)


def darkened(pixels: NDArray[np.uint8]) -> NDArray[np.uint8]:
    return np.rint(pixels * np.array([0.6, 0.75, 0.9]) + 4).astype(np.uint8)


def small_truth(truth: NDArray[np.uint8]) -> NDArray[np.float32]:
    return np.ascontiguousarray(np.moveaxis(squash_image(truth), 2, 0), np.float32) / 255


def harmonize(composite: NDArray[np.uint8], mask: NDArray[np.uint8], truth: NDArray[np.uint8]) -> NDArray[np.uint8]:
    return transfer(composite, mask, squash_image(composite), squash_mask(mask), small_truth(truth))


def bicubic(truth: NDArray[np.uint8]) -> NDArray[np.uint8]:
    height, width = truth.shape[:2]
    return np.asarray(Image.fromarray(squash_image(truth)).resize((width, height), Image.Resampling.BICUBIC))


def foreground_psnr(image: NDArray[np.uint8], truth: NDArray[np.uint8], mask: NDArray[np.uint8]) -> float:
    difference = image[mask > 0].astype(float) - truth[mask > 0]
    return float(10 * np.log10(255**2 / max(np.mean(difference**2), 1e-9)))


@pytest.mark.parametrize(("height", "width"), [(1, 1), (1, 300), (300, 1), (32, 32), (200, 900), (1000, 700)])
@pytest.mark.parametrize("channels", [3, 4])
def test_pixels_outside_the_mask_are_untouched(height: int, width: int, channels: int) -> None:
    pixels = np.dstack([texture(height, width), texture(height, width, 1)[..., :1]])[..., :channels]
    mask = disc(height, width)
    harmonized = transfer(
        pixels,
        mask,
        squash_image(pixels),
        squash_mask(mask),
        np.random.default_rng(0).random((3, 256, 256), np.float32),
    )
    assert harmonized.shape == pixels.shape
    assert harmonized.dtype == np.uint8
    assert np.array_equal(harmonized[mask == 0], pixels[mask == 0])
    assert np.array_equal(harmonized[..., 3:], pixels[..., 3:])


def test_the_input_is_not_written_to() -> None:
    composite, mask = texture(300, 400), disc(300, 400)
    before = composite.copy()
    composite.setflags(write=False)
    harmonize(composite, mask, darkened(composite))
    assert np.array_equal(composite, before)


def test_in_place_the_pixels_themselves_are_harmonized() -> None:
    composite, mask = texture(700, 900), disc(700, 900)
    inputs = squash_image(composite), squash_mask(mask), small_truth(darkened(composite))
    apart = transfer(composite, mask, *inputs)
    assert transfer(composite, mask, *inputs, in_place=True) is composite
    assert np.array_equal(composite, apart)


def test_the_ramp_is_that_of_the_whole_mask_wherever_it_is_cut() -> None:
    mask = np.where(np.random.default_rng(3).random((60, 80)) < 0.6, 0, 255).astype(np.uint8)
    mask = cv2.resize(mask, (800, 600), interpolation=cv2.INTER_NEAREST)
    whole = alpha(mask, slice(0, 600), slice(0, 800), 4.3)
    assert 0 < whole[mask > 0].min() < 1 and whole.max() == 1
    for rows in (slice(0, 64), slice(64, 128), slice(590, 600)):
        for columns in (slice(0, 90), slice(333, 334), slice(700, 800)):
            assert np.array_equal(alpha(mask, rows, columns, 4.3), whole[rows, columns])


@pytest.mark.parametrize(("height", "width"), [(40, 64), (256, 256), (375, 500), (900, 640), (1500, 400)])
def test_a_global_change_of_colour_arrives_with_every_detail(height: int, width: int) -> None:
    truth, mask = texture(height, width), disc(height, width)
    composite = np.where(mask[..., None] > 0, darkened(truth), truth)
    harmonized = harmonize(composite, mask, truth)
    assert foreground_psnr(harmonized, truth, mask) > 36
    assert foreground_psnr(harmonized, truth, mask) > foreground_psnr(composite, truth, mask) + 10


def test_a_blurred_result_does_not_blur_the_image() -> None:
    grain = np.random.default_rng(0).normal(0, 6, (1200, 1200, 3))
    truth, mask = np.clip(texture(1200, 1200) + grain, 0, 255).astype(np.uint8), disc(1200, 1200)
    composite = np.where(mask[..., None] > 0, darkened(truth), truth)
    small, small_mask = squash_image(composite), squash_mask(mask)
    blurred = np.moveaxis(cv2.GaussianBlur(np.moveaxis(small_truth(truth), 0, 2), (0, 0), 1.0), 2, 0)

    def sharpness(image: NDArray[np.uint8]) -> float:
        return float(np.abs(cv2.Laplacian(image.astype(np.float32), cv2.CV_32F))[mask > 0].mean())

    harmonized = transfer(composite, mask, small, small_mask, blurred)
    assert sharpness(bicubic(truth)) < 0.1 * sharpness(truth)
    assert sharpness(harmonized) > 0.75 * sharpness(truth)
    unsmoothed = transfer(composite, mask, small, small_mask, blurred, smoothing=0)
    assert foreground_psnr(harmonized, truth, mask) > foreground_psnr(unsmoothed, truth, mask) + 0.5


def test_at_the_networks_own_size_the_foreground_is_its_result() -> None:
    truth, mask = texture(256, 256, 1), disc(256, 256)
    composite = np.where(mask[..., None] > 0, texture(256, 256, 2), truth)
    assert np.array_equal(harmonize(composite, mask, truth), truth)


def test_detail_of_a_network_that_cannot_render_the_background_is_not_taken() -> None:
    truth, mask = texture(512, 512), disc(512, 512)
    composite = np.where(mask[..., None] > 0, darkened(truth), truth)
    noise = np.random.default_rng(0).normal(0, 0.4, (256, 256, 3))
    blotches = np.moveaxis(cv2.GaussianBlur(noise, (0, 0), 1.5), 2, 0)
    noisy = np.clip(small_truth(truth) + blotches, 0, 1).astype(np.float32)
    small, small_mask = squash_image(composite), squash_mask(mask)
    trusted = transfer(composite, mask, small, small_mask, noisy, residual=1)
    harmonized = transfer(composite, mask, small, small_mask, noisy)
    assert foreground_psnr(harmonized, truth, mask) > foreground_psnr(trusted, truth, mask) + 5


def test_no_change_is_no_change() -> None:
    composite, mask = texture(700, 900), disc(700, 900)
    harmonized = harmonize(composite, mask, composite)
    assert np.abs(harmonized.astype(int) - composite).max() <= 1


def test_the_background_does_not_leak_into_the_foreground() -> None:
    mask = disc(800, 800)
    composite = np.where(mask[..., None] > 0, 100, 255).astype(np.uint8) * np.ones((1, 1, 3), np.uint8)
    result = np.ones((3, SMALL_SIZE, SMALL_SIZE), np.float32)
    small_mask = squash_mask(mask)
    result[:, small_mask > 0] = 150 / 255
    harmonized = transfer(composite, mask, composite[:256, :256] * 0 + 100, small_mask, result, feather=0)
    assert np.abs(harmonized[mask > 0].astype(int) - 150).max() <= 1


def test_the_ramp_lies_inside_the_mask_and_reaches_full_strength() -> None:
    mask = np.zeros((2048, 2048), np.uint8)
    mask[500:1500, 500:1500] = 255
    composite = np.full((2048, 2048, 3), 100, np.uint8)
    result = np.full((3, SMALL_SIZE, SMALL_SIZE), 200 / 255, np.float32)
    row = transfer(composite, mask, squash_image(composite), squash_mask(mask), result)[1000, :, 0].astype(int)
    assert row[499] == 100
    assert 100 < row[500] < 200
    assert (np.diff(row[499:520]) >= 0).all()
    assert (row[510:1490] == 200).all()
    assert np.array_equal(row[500:1500], row[500:1500][::-1])


def test_a_mask_that_reaches_the_border_has_no_ramp_there() -> None:
    composite = np.full((1024, 1024, 3), 100, np.uint8)
    mask = np.full((1024, 1024), 255, np.uint8)
    result = np.full((3, SMALL_SIZE, SMALL_SIZE), 200 / 255, np.float32)
    assert (transfer(composite, mask, squash_image(composite), squash_mask(mask), result) == 200).all()


@pytest.mark.parametrize("thickness", [1, 2, 5])
def test_thin_foregrounds_are_harmonized_at_full_strength(thickness: int) -> None:
    composite = np.full((2000, 3000, 3), 100, np.uint8)
    mask = np.zeros((2000, 3000), np.uint8)
    mask[:, 1004 : 1004 + thickness] = 255
    result = np.full((3, SMALL_SIZE, SMALL_SIZE), 200 / 255, np.float32)
    harmonized = transfer(composite, mask, squash_image(composite), squash_mask(mask), result)
    assert (harmonized[:, 1004 + thickness // 2] == 200).all()


def test_a_foreground_smaller_than_a_small_pixel_is_harmonized() -> None:
    composite = np.full((2560, 2560, 3), 100, np.uint8)
    mask = np.zeros((2560, 2560), np.uint8)
    mask[1000:1003, 2000:2003] = 255
    result = np.full((3, SMALL_SIZE, SMALL_SIZE), 200 / 255, np.float32)
    harmonized = transfer(composite, mask, squash_image(composite), squash_mask(mask), result)
    assert (harmonized[1001, 2001] == 200).all()


def test_nothing_to_do_returns_the_image() -> None:
    composite, mask = texture(300, 500), disc(300, 500)
    small, nothing = squash_image(composite), np.zeros((SMALL_SIZE, SMALL_SIZE), np.uint8)
    result = np.zeros((3, SMALL_SIZE, SMALL_SIZE), np.float32)
    assert np.array_equal(transfer(composite, mask * 0, small, nothing, result), composite)
    assert np.array_equal(transfer(composite, mask, small, nothing, result), composite)


def test_a_result_beyond_its_range_is_clipped() -> None:
    composite = np.full((400, 400, 3), 128, np.uint8)
    mask = np.full((400, 400), 255, np.uint8)
    for value, expected in ((-3.0, 0), (1.7, 255)):
        result = np.full((3, SMALL_SIZE, SMALL_SIZE), value, np.float32)
        assert (transfer(composite, mask, squash_image(composite), squash_mask(mask), result) == expected).all()


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_a_result_that_is_not_finite_is_an_error_and_never_pixels(value: float) -> None:
    composite, mask = texture(100, 100), disc(100, 100)
    result = small_truth(composite)
    result[1, 128, 128] = value
    with pytest.raises(ConcordError, match="not finite"):
        transfer(composite, mask, squash_image(composite), squash_mask(mask), result)


def test_what_is_not_finite_outside_the_mask_does_no_harm() -> None:
    composite, mask = texture(500, 300), disc(500, 300)
    result = small_truth(composite)
    result[:, 0, 0] = np.nan
    harmonized = transfer(composite, mask, squash_image(composite), squash_mask(mask), result)
    assert np.abs(harmonized.astype(int) - composite).max() <= 1


@pytest.mark.parametrize("number", range(5))
def test_on_photographs_it_beats_bicubic_upsampling(number: int) -> None:
    picture = make_photo_composite(HELD_OUT_FROM + number, (400, 600))
    upsampled = foreground_psnr(bicubic(picture.truth), picture.truth, picture.mask)
    harmonized = harmonize(picture.composite, picture.mask, picture.truth)
    assert foreground_psnr(harmonized, picture.truth, picture.mask) > upsampled


@pytest.mark.parametrize("size", [256, 512, 768, 1024])
@pytest.mark.parametrize(("height", "width"), [(1, 1), (3, 900), (48, 64), (1200, 1600)])
def test_a_change_made_at_any_small_size_arrives(size: int, height: int, width: int) -> None:
    """Also where the small size is the larger one."""
    composite = texture(height, width)
    mask = disc(height, width) if min(height, width) > 2 else np.full((height, width), 255, np.uint8)
    truth = darkened(composite)
    result = np.ascontiguousarray(np.moveaxis(squash_image(truth, size), 2, 0), np.float32) / 255
    harmonized = transfer(composite, mask, squash_image(composite, size), squash_mask(mask, size), result)
    np.testing.assert_array_equal(harmonized[mask == 0], composite[mask == 0])
    assert np.abs(harmonized[mask > 0].astype(float) - truth[mask > 0]).mean() < 1


@pytest.mark.parametrize("strength", [0, 0.5, 1.5])
def test_a_strength_multiplies_the_change_before_it_is_rounded_and_clipped(strength: float) -> None:
    composite, mask = texture(300, 400), disc(300, 400)
    given = squash_image(composite), squash_mask(mask), small_truth(darkened(composite))
    whole = transfer(composite, mask, *given).astype(float)
    harmonized = transfer(composite, mask, *given, strength=strength)
    expected = composite + strength * (whole - composite)
    assert np.abs(harmonized - expected)[(whole > 0) & (whole < 255)].max() <= 0.5 + strength / 2
    assert np.array_equal(harmonized[mask == 0], composite[mask == 0])
    if strength == 0:
        assert np.array_equal(harmonized, composite)
