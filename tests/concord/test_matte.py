"""A soft edge has an opacity and colours of its own; what is of the background stays in the picture."""

import cv2
import numpy as np

from concord.arrays import Floats, Pixels
from concord.colour_map import apply_colour_map
from concord.masks import binary, intersection_over_union
from concord.matte import foreground, matte
from concord.squash import squash_image, squash_mask
from concord.transfer import transfer

SIDE, FINE = 300, 4
FRONT, BACK = np.array([190.0, 90.0, 60.0]), np.array([40.0, 90.0, 150.0])


def furry() -> tuple[Pixels, Floats]:
    """A ball with hair before a wall, uint8 [300, 300, 3], and its opacity fp32 [300, 300]."""
    random, fine = np.random.default_rng(1), np.zeros((SIDE * FINE, SIDE * FINE), np.uint8)
    middle, radius = SIDE * FINE // 2, SIDE * FINE // 4
    cv2.circle(fine, (middle, middle), radius, 255, -1)
    for angle in random.uniform(0, 2 * np.pi, 200):
        way = np.array([np.cos(angle), np.sin(angle)])
        begin, end = ((middle + way * radius * far).astype(int).tolist() for far in (0.95, random.uniform(1.02, 1.12)))
        cv2.line(fine, begin, end, 255, int(random.integers(3, 9)))
    opacity = cv2.resize(fine, (SIDE, SIDE), interpolation=cv2.INTER_AREA).astype(np.float32) / 255
    shade = 1 + 0.1 * np.sin(np.arange(SIDE) / 9)[:, np.newaxis, np.newaxis]
    mixed = opacity[..., np.newaxis] * FRONT + (1 - opacity[..., np.newaxis]) * BACK * shade
    return np.rint(mixed).astype(np.uint8), opacity


PIXELS, OPACITY = furry()
MASK = (cv2.morphologyEx(OPACITY, cv2.MORPH_OPEN, np.ones((9, 9))) >= 0.5).astype(np.uint8) * np.uint8(255)


def test_hair_gets_its_opacity() -> None:
    alpha = matte(PIXELS, MASK) / np.float32(255)
    mixed = (OPACITY > 0) & (MASK == 0)
    assert np.abs(alpha - OPACITY)[mixed].mean() < 0.5 * np.abs(MASK / 255 - OPACITY)[mixed].mean()
    assert alpha[SIDE // 2, SIDE // 2] == 1 and alpha[0, 0] == 0


def test_mixed_pixels_are_taken_apart_into_the_parts_own_colours() -> None:
    alpha = np.rint(OPACITY * 255).astype(np.uint8)
    own = foreground(PIXELS, alpha)
    mixed = (OPACITY > 0.3) & (OPACITY < 0.9)
    assert np.abs(own[mixed] - FRONT).mean() < 0.3 * np.abs(PIXELS[mixed] - FRONT).mean()
    whole = (alpha == 0) | (alpha == 255)
    assert np.array_equal(own[whole], PIXELS[whole])


def test_a_soft_edge_keeps_the_share_of_the_background() -> None:
    """The part turns darker by half: each pixel loses half of its share of the part, and nothing else."""
    alpha = np.rint(OPACITY * 255).astype(np.uint8)
    small = squash_image(PIXELS)
    result = np.moveaxis(small.astype(np.float32) / 510, 2, 0)
    changed = transfer(PIXELS, MASK, small, squash_mask(MASK), result, opacity=alpha)
    expected = PIXELS - 0.5 * OPACITY[..., np.newaxis] * FRONT
    assert np.abs(changed - expected)[OPACITY > 0].mean() < 4
    assert np.array_equal(changed[alpha == 0], PIXELS[alpha == 0])


def test_a_colour_map_changes_the_parts_own_colours() -> None:
    alpha = np.rint(OPACITY * 255).astype(np.uint8)
    halves = np.zeros((13, 256, 256), np.float32)
    halves[[0, 4, 8]], halves[12] = 0.5, 1
    changed = apply_colour_map(PIXELS, MASK, halves, opacity=alpha)
    expected = PIXELS - 0.5 * OPACITY[..., np.newaxis] * FRONT
    assert np.abs(changed - expected)[OPACITY > 0].mean() < 4
    assert np.array_equal(changed[alpha == 0], PIXELS[alpha == 0])


def test_where_colours_say_nothing_the_opacity_is_the_masks() -> None:
    noise = np.random.default_rng(0).integers(0, 256, PIXELS.shape).astype(np.uint8)
    alpha = matte(noise, MASK)
    assert intersection_over_union(binary(alpha), MASK) > 0.9
