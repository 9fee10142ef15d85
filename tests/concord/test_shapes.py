"""Masks of a shape, and their uneven edges."""

import cv2
import numpy as np
import pytest

from concord.masks import depths, intersection_over_union
from concord.shapes import MOST_ROUGHNESS, ellipse, irregular, polygon, rectangle, stroke

SIZE = (120, 160)
SHAPES = {
    "rectangle": rectangle((30, 20, 110, 90), *SIZE),
    "ellipse": ellipse((30, 20, 110, 90), *SIZE),
    "polygon": polygon([(20, 20), (140, 30), (70, 110)], *SIZE),
    "stroke": stroke([(20, 20), (80, 90), (140, 30)], 14, *SIZE),
}
each_shape = pytest.mark.parametrize("mask", SHAPES.values(), ids=SHAPES.keys())


def corner(mask):
    """Left, top, right and bottom of what is marked."""
    left, top, width, height = cv2.boundingRect(mask)
    return left, top, left + width, top + height


@each_shape
def test_a_mask_is_black_and_white(mask):
    assert mask.shape == SIZE and mask.dtype == np.uint8 and set(np.unique(mask)) == {0, 255}


@pytest.mark.parametrize("shape", [rectangle, ellipse])
def test_a_shape_touches_the_sides_of_its_box(shape):
    assert corner(shape((30, 20, 110, 90), *SIZE)) == (30, 20, 110, 90)


def test_a_shape_has_the_area_of_geometry():
    assert np.count_nonzero(SHAPES["rectangle"]) == 80 * 70
    assert np.count_nonzero(SHAPES["ellipse"]) == pytest.approx(np.pi * 40 * 35, rel=0.01)
    assert np.count_nonzero(SHAPES["polygon"]) == pytest.approx((120 * 90 - 10 * 50) / 2, rel=0.04)
    assert np.count_nonzero(stroke([(20, 50), (120, 50)], 20, *SIZE)) == pytest.approx(2000 + np.pi * 100, rel=0.06)


def test_a_single_point_is_a_dot():
    assert corner(stroke([(50, 40)], 20, *SIZE)) == (40, 30, 60, 50)


def test_what_is_outside_the_picture_is_cut_off():
    assert corner(rectangle((-50, -50, 10, 10), *SIZE)) == (0, 0, 10, 10)
    assert corner(polygon([(-1000, -1000), (2000, -1000), (-1000, 2000)], *SIZE)) == (0, 0, *SIZE[::-1])
    assert not ellipse((200, 200, 300, 300), *SIZE).any()


@each_shape
def test_the_same_seed_makes_the_same_edge_and_another_seed_another(mask):
    np.testing.assert_array_equal(irregular(mask, 1), irregular(mask, 1))
    assert (irregular(mask, 1) != irregular(mask, 2)).any()


@each_shape
@pytest.mark.parametrize("roughness", [0.05, 0.1, MOST_ROUGHNESS])
def test_an_edge_moves_no_farther_than_the_roughness_says(mask, roughness):
    inside, outside = depths((mask > 0).astype(np.uint8))
    moved = irregular(mask, 5, roughness) != mask
    assert moved.any()
    assert np.maximum(inside, outside)[moved].max() <= roughness * 2 * inside.max() + 1


@each_shape
def test_a_rough_edge_stays_near_the_shape(mask):
    assert 0.6 < intersection_over_union(irregular(mask, 3), mask) < 0.99


@each_shape
def test_an_edge_is_longer_than_before(mask):
    def length(of):
        return sum(cv2.arcLength(each, True) for each in cv2.findContours(of, 0, cv2.CHAIN_APPROX_NONE)[0])

    assert np.mean([length(irregular(mask, seed)) for seed in range(4)]) > 1.02 * length(mask)


def test_what_has_no_edge_stays():
    for mask in (np.zeros(SIZE, np.uint8), np.full(SIZE, 255, np.uint8)):
        np.testing.assert_array_equal(irregular(mask, 1), mask)
    np.testing.assert_array_equal(irregular(SHAPES["ellipse"], 1, 0), SHAPES["ellipse"])


def test_a_single_pixel_is_never_lost():
    mask = np.zeros(SIZE, np.uint8)
    mask[60, 70] = 255
    assert all(irregular(mask, seed, MOST_ROUGHNESS)[60, 70] for seed in range(8))
