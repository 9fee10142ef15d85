"""A small mask is carried to the edge that is in the picture."""

import cv2
import numpy as np
import pytest

from concord.guided import carried


def disc(height: int, width: int) -> np.ndarray:
    mask = np.zeros((height, width), np.uint8)
    cv2.circle(mask, (width // 2, height // 2), min(height, width) // 3, (255,), -1)
    return mask


def picture_of(mask: np.ndarray) -> np.ndarray:
    """Two colours with some grain."""
    grain = np.random.default_rng(3).integers(0, 20, (*mask.shape, 3))
    return (np.where(mask[..., None] > 0, (200, 80, 60), (60, 110, 140)) + grain).astype(np.uint8)


@pytest.mark.parametrize("size", [(400, 600), (601, 333), (1024, 1024)])
def test_the_edge_is_that_of_the_picture_and_not_of_small_pixels(size):
    truth = disc(*size)
    small = cv2.resize(truth, (size[1] // 8, size[0] // 8), interpolation=cv2.INTER_AREA) // 128
    steps = cv2.resize(small, size[::-1], interpolation=cv2.INTER_NEAREST) > 0
    found = carried(small, picture_of(truth))
    assert set(np.unique(found)) == {0, 255} and found.shape == size
    wrong = np.count_nonzero((found > 0) != (truth > 0))
    assert wrong < 0.2 * np.count_nonzero(steps != (truth > 0))


def test_what_is_far_from_the_edge_is_as_in_the_small_mask():
    truth = disc(512, 512)
    picture = np.random.default_rng(1).integers(0, 255, (512, 512, 4), dtype=np.uint8)
    found = carried(cv2.resize(truth, (64, 64), interpolation=cv2.INTER_AREA) // 128, picture)
    far = 6 * 8
    kernel = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * far + 1, 2 * far + 1))
    assert (found[cv2.erode(truth, kernel) > 0] == 255).all() and (found[cv2.dilate(truth, kernel) == 0] == 0).all()


@pytest.mark.parametrize("value", [0, 1])
def test_a_mask_of_one_value_stays_one(value):
    found = carried(np.full((7, 9), value, np.uint8), picture_of(disc(70, 90)))
    assert (found == 255 * value).all()


def test_a_mask_of_the_picture_s_size_is_itself():
    truth = disc(30, 40)
    assert (carried(truth // 255, picture_of(truth)) == truth).all()
