"""A colour map changes the image inside the mask as the formula says, and nothing else."""

import numpy as np
import pytest

from concord.colour_map import apply_colour_map
from concord.errors import ConcordError
from tests.concord.test_transfer import disc, texture

SIZES = [(1, 1), (1, 300), (300, 1), (32, 48), (256, 256), (200, 900), (1000, 700)]
IDENTITY = np.float32([1, 0, 0, 0, 1, 0, 0, 0, 1, 0, 0, 0, 1])


def constant(values: np.ndarray) -> np.ndarray:
    return np.broadcast_to(np.float32(values)[:, None, None], (13, 256, 256))


def drawn(seed: int = 0) -> np.ndarray:
    """A map that goes far beyond the range of colours, so that every bound is met."""
    return np.random.default_rng(seed).normal(IDENTITY[:, None, None], 0.5, (13, 256, 256)).astype(np.float32)


@pytest.mark.parametrize(("height", "width"), SIZES)
@pytest.mark.parametrize("channels", [3, 4])
def test_pixels_outside_the_mask_are_untouched(height: int, width: int, channels: int) -> None:
    pixels = np.dstack([texture(height, width), texture(height, width, 1)[..., :1]])[..., :channels]
    pixels.setflags(write=False)
    mask = disc(height, width)
    mapped = apply_colour_map(pixels, mask, drawn())
    assert mapped.shape == pixels.shape and mapped.dtype == np.uint8
    assert np.array_equal(mapped[mask == 0], pixels[mask == 0])
    assert np.array_equal(mapped[..., 3:], pixels[..., 3:])
    assert (mapped[mask > 0] != pixels[mask > 0]).any()


@pytest.mark.parametrize(("height", "width"), SIZES)
def test_every_pixel_is_mapped_by_its_own_matrix_and_offset(height: int, width: int) -> None:
    pixels, mask = texture(height, width), np.full((height, width), 255, np.uint8)
    matrix, offset = np.float32([[0.5, 0.2, 0], [0, 0.9, -0.1], [0.3, 0, 1.2]]), np.float32([0.1, 0, -0.2])
    mapped = apply_colour_map(pixels, mask, constant(np.r_[matrix.ravel(), offset, 0.75]))
    colours = pixels / 255
    expected = 0.75 * np.clip(colours @ matrix.T + offset, 0, 1) + 0.25 * colours
    assert np.abs(mapped - expected * 255).max() <= 0.5 + 1e-3


def test_the_map_of_no_change_changes_nothing() -> None:
    pixels, mask = texture(300, 400), disc(300, 400)
    assert np.array_equal(apply_colour_map(pixels, mask, constant(IDENTITY)), pixels)


def test_a_part_of_the_image_is_mapped_as_in_the_whole() -> None:
    pixels, part = texture(700, 500), np.zeros((700, 500), np.uint8)
    part[130:620, 77:333] = 255
    alone = apply_colour_map(pixels, part, drawn())
    whole = apply_colour_map(pixels, np.full_like(part, 255), drawn())
    assert np.abs(alone.astype(int) - whole)[part > 0].max() <= 1  # sums over other tiles


def test_without_a_foreground_the_map_is_not_read() -> None:
    pixels = texture(40, 60)
    nothing = np.zeros((40, 60), np.uint8)
    assert np.array_equal(apply_colour_map(pixels, nothing, constant(IDENTITY * np.nan)), pixels)


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_a_map_that_is_not_finite_is_refused(value: float) -> None:
    broken = drawn()
    broken[3, 100, 100] = value
    with pytest.raises(ConcordError, match="COLOUR_MAP: the network's result is not finite"):
        apply_colour_map(texture(40, 60), disc(40, 60), broken)


def test_a_strength_multiplies_the_change_before_it_is_clipped() -> None:
    pixels, mask = texture(40, 60), disc(40, 60)
    colour_map = constant(np.r_[IDENTITY[:9], 0.2, 0.2, 0.2, 1])
    mapped = apply_colour_map(pixels, mask, colour_map, strength=1.5)
    exact = pixels / 255 + 1.5 * (np.clip(pixels / 255 + 0.2, 0, 1) - pixels / 255)
    assert np.abs(mapped - np.clip(exact * 255, 0, 255))[mask > 0].max() <= 0.5 + 1e-3
    assert np.array_equal(apply_colour_map(pixels, mask, colour_map, strength=0), pixels)
    assert np.array_equal(apply_colour_map(pixels, mask, drawn(), strength=1), apply_colour_map(pixels, mask, drawn()))
