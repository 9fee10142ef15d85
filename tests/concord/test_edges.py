"""A mask's edge follows the picture's; where the picture tells nothing, the mask stays as it was."""

import cv2
import numpy as np
import pytest

from concord.arrays import Pixels
from concord.edges import CHOICES, fitted, part
from concord.errors import InvalidSetting
from concord.gates.metrics import boundary_f
from concord.guided import carried
from concord.masks import intersection_over_union
from concord.scenes.photographs import HELD_OUT_FROM
from concord.scenes.scene import make_scene

SCENE = make_scene(HELD_OUT_FROM + 2, (384, 512))


def coarse(mask: Pixels, cells: int = 52) -> Pixels:
    """The mask as a network with so many cells a side says it."""
    shape = mask.shape[::-1]
    small = cv2.resize(mask, (cells, cells), interpolation=cv2.INTER_AREA)
    enlarged = cv2.resize((small >= 128).astype(np.uint8) * 255, shape, interpolation=cv2.INTER_NEAREST)
    return np.asarray(enlarged, np.uint8)


def test_a_coarse_mask_becomes_the_object() -> None:
    before = coarse(SCENE.mask)
    after = fitted(SCENE.composite, before)
    assert set(np.unique(after)) == {0, 255}
    assert intersection_over_union(after, SCENE.mask) > 0.97 > intersection_over_union(before, SCENE.mask)
    assert boundary_f(after, SCENE.mask, 2) > 0.95 > 0.8 > boundary_f(before, SCENE.mask, 2)


def test_equal_pictures_are_fitted_equally() -> None:
    before = coarse(SCENE.mask)
    assert np.array_equal(fitted(SCENE.composite, before), fitted(SCENE.composite.copy(), before.copy()))


def test_large_photographs_are_fitted_along_their_own_edges() -> None:
    width, height = 2048, 1536
    picture = cv2.resize(SCENE.composite, (width, height), interpolation=cv2.INTER_CUBIC)
    truth = cv2.resize(SCENE.mask, (width, height), interpolation=cv2.INTER_LINEAR) // 128 * np.uint8(255)
    after = fitted(np.asarray(picture, np.uint8), coarse(np.asarray(truth, np.uint8)))
    assert intersection_over_union(after, truth) > 0.97
    assert boundary_f(after, truth, 2 * width / 512) > 0.95


def test_noise_tells_nothing_and_a_fit_that_runs_away_is_dropped() -> None:
    noise = np.random.default_rng(0).integers(0, 256, (200, 200, 3)).astype(np.uint8)
    mask = np.zeros((200, 200), np.uint8)
    mask[60:140, 60:140] = 255
    assert intersection_over_union(fitted(noise, mask), mask) >= 0.5


@pytest.mark.parametrize("value", [0, 255])
@pytest.mark.parametrize("shape", [(1, 1), (2, 300), (40, 30)])
@pytest.mark.parametrize("edges", CHOICES)
def test_masks_without_an_edge_stay_as_they_are(edges: str, shape: tuple[int, int], value: int) -> None:
    mask = np.full(shape, value, np.uint8)
    found = part(np.full((*shape, 4), 90, np.uint8), mask, edges, found=True)
    assert np.array_equal(found.mask, mask) and np.array_equal(found.shown, mask)


def test_auto_fits_what_was_found_and_not_what_was_given() -> None:
    before = coarse(SCENE.mask)
    assert np.array_equal(part(SCENE.composite, before, "auto", found=False).mask, before)
    assert np.array_equal(part(SCENE.composite, before, b"auto", found=True).mask, fitted(SCENE.composite, before))


@pytest.mark.parametrize("word", ["", "Hard", b"\xff", "x" * 10_000])
def test_another_word_is_refused_with_those_that_are_allowed(word: str | bytes) -> None:
    with pytest.raises(InvalidSetting, match=r"EDGES: is .{0,60}; allowed: auto, hard, fitted, soft"):
        part(SCENE.composite, SCENE.mask, word, found=True)


def test_what_is_carried_to_full_size_follows_the_photograph() -> None:
    height, width = 300, 420
    columns = np.arange(width) + 40 * np.sin(np.arange(height)[:, np.newaxis] / 40)
    truth = columns > 200
    pixels = np.where(truth[..., np.newaxis], (200, 40, 60), (30, 120, 90)).astype(np.uint8)
    small = cv2.resize(truth.astype(np.float32), (42, 30), interpolation=cv2.INTER_AREA) >= 0.5
    full = carried(small.astype(np.float32), pixels)
    assert ((full >= 128) != truth).mean() < 0.001
    assert np.array_equal(carried(truth.astype(np.float32), pixels), truth * np.uint8(255))
