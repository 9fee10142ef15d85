"""Selecting by clicks and a box, as a function of pixels."""

import cv2
import numpy as np
import pytest

from concord.clicks import Clicks
from concord.masks import intersection_over_union
from concord.scenes.photographs import HELD_OUT_FROM
from concord.scenes.scene import make_scene
from concord.selection import WORKING_SIDE, select
from demo.selecting import inmost


def ball(height: int = 120, width: int = 160, channels: int = 3) -> tuple[np.ndarray, np.ndarray]:
    """A picture with a ball in its middle, and the ball's mask."""
    truth = np.zeros((height, width), np.uint8)
    cv2.circle(truth, (width // 2, height // 2), min(height, width) // 4, (255,), -1)
    grain = np.random.default_rng(2).integers(0, 16, (height, width, channels))
    inside, outside = np.array([190, 70, 60, 255][:channels]), np.array([70, 120, 90, 128][:channels])
    return (np.where(truth[..., None] > 0, inside, outside) + grain).clip(0, 255).astype(np.uint8), truth


def best(found: list, truth: np.ndarray) -> float:
    return max(intersection_over_union(each.mask, truth) for each in found)


@pytest.mark.parametrize("size", [(120, 160), (1400, 900)])
@pytest.mark.parametrize("channels", [3, 4])
def test_a_click_and_a_box_find_the_ball(size, channels):
    picture, truth = ball(*size, channels)
    x, y, width, height = cv2.boundingRect(truth)
    for clicks in (Clicks((inmost(truth),)), Clicks(box=(x, y, x + width, y + height))):
        found = select(picture, clicks)
        assert best(found, truth) > 0.97 and found[0].mask.shape == size
        assert [each.score for each in found] == sorted((each.score for each in found), reverse=True)


@pytest.mark.parametrize("seed", range(3))
def test_one_click_finds_an_object_of_a_scene(seed):
    scene = make_scene(HELD_OUT_FROM + seed, (256, 256))
    assert best(select(scene.composite, Clicks((inmost(scene.mask),))), scene.mask) > 0.8


def test_the_same_clicks_give_the_same_masks():
    picture = make_scene(HELD_OUT_FROM, (256, 256)).composite
    one, other = (select(picture, Clicks(((100.0, 100.0),))) for _ in range(2))
    assert [each.score for each in one] == [each.score for each in other]
    assert all((a.mask == b.mask).all() for a, b in zip(one, other, strict=True))


def test_every_mask_holds_what_belongs_and_nothing_of_the_rest():
    picture, truth = ball(300, 400)
    inside, outside = [(200.0, 150.0), (175.0, 140.0)], [(20.0, 20.0), (200.0, 190.0)]
    box = (100.0, 60.0, 300.0, 240.0)
    for each in select(picture, Clicks(tuple(inside), tuple(outside), box)):
        assert all(each.mask[int(y), int(x)] == 255 for x, y in inside)
        assert all(each.mask[int(y), int(x)] == 0 for x, y in outside)
        beyond = np.ones(truth.shape, bool)
        beyond[60:240, 100:300] = False
        assert not each.mask[beyond].any()


def test_two_balls_that_are_clicked_are_one_selection():
    picture, truth = ball()
    twice, truths = np.hstack([picture, picture]), np.hstack([truth, truth])
    assert best(select(twice, Clicks(((80.0, 60.0), (240.0, 60.0)))), truths) > 0.97


def test_a_ring_keeps_its_hole_and_loses_its_specks():
    picture, truth = ball(240, 320)
    ring = truth.copy()
    ground = picture[5, 5]
    cv2.circle(picture, (160, 120), 30, ground.tolist(), -1)
    cv2.circle(ring, (160, 120), 30, (0,), -1)
    cv2.circle(picture, (160, 75), 2, ground.tolist(), -1)
    found = select(picture, Clicks(((115.0, 120.0), (205.0, 120.0)), ((160.0, 120.0),)))
    best_one = max(found, key=lambda each: intersection_over_union(each.mask, ring))
    assert intersection_over_union(best_one.mask, ring) > 0.9
    assert best_one.mask[75, 160] == 255


@pytest.mark.parametrize("size", [(1, 1), (1, 50), (50, 1), (2, 2), (3, 900)])
@pytest.mark.parametrize("box", [None, "all"])
def test_the_smallest_pictures_are_answered(size, box):
    height, width = size
    picture = np.random.default_rng(4).integers(0, 255, (height, width, 3), dtype=np.uint8)
    clicks = Clicks(box=(0, 0, width, height)) if box else Clicks(((width / 2, height / 2),))
    found = select(picture, clicks)
    assert 1 <= len(found) <= 3 and all(each.mask.shape == size for each in found)


@pytest.mark.parametrize("corner", [(0.0, 0.0), (160.0, 120.0), (160.0, 0.0), (80.0, 120.0)])
def test_a_click_on_the_picture_s_edge_is_answered(corner):
    picture, _ = ball()
    assert all(np.count_nonzero(each.mask) > 0 for each in select(picture, Clicks((corner,))))


def test_a_picture_of_one_colour_is_answered():
    picture = np.full((200, 300, 3), 127, np.uint8)
    for clicks in (Clicks(((150.0, 100.0),)), Clicks(((150.0, 100.0),), ((10.0, 10.0),)), Clicks(box=(9, 9, 99, 99))):
        assert all(each.mask.any() for each in select(picture, clicks))


def test_a_click_and_its_opposite_on_one_pixel_belong():
    picture, _ = ball(40, 40)
    assert all(each.mask[20, 20] == 255 for each in select(picture, Clicks(((20.0, 20.0),), ((20.4, 20.4),))))


def test_a_large_picture_has_the_edge_of_its_own_pixels():
    picture, truth = ball(4 * WORKING_SIDE, 6 * WORKING_SIDE)
    assert best(select(picture, Clicks((inmost(truth),))), truth) > 0.99
