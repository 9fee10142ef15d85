"""CLIP's views: the middle of the picture, and of the smallest box around the foreground."""

import numpy as np
import pytest

from concord.clip_view import VIEW_SIZE, clip_view, edited_view, foreground_view


def noise(height: int, width: int) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (height, width, 3), np.uint8)


def test_a_picture_of_the_views_size_is_its_own_view() -> None:
    picture = noise(VIEW_SIZE, VIEW_SIZE)
    assert np.array_equal(clip_view(picture), picture)


@pytest.mark.parametrize("across", [False, True])
def test_the_middle_is_seen_and_the_ends_are_not(across: bool) -> None:
    picture = noise(VIEW_SIZE, 3 * VIEW_SIZE)
    middle = picture[:, VIEW_SIZE : 2 * VIEW_SIZE]
    view = clip_view(picture.swapaxes(0, 1) if across else picture)
    assert np.array_equal(view.swapaxes(0, 1) if across else view, middle)


@pytest.mark.parametrize("box", [(0, 0, 256, 256), (30, 40, 31, 41), (10, 0, 11, 256), (100, 90, 200, 256)])
def test_the_foreground_is_seen_in_the_smallest_box_around_it(box: tuple[int, int, int, int]) -> None:
    left, top, right, bottom = box
    picture, mask = noise(256, 256), np.zeros((256, 256), np.uint8)
    mask[top, left] = mask[bottom - 1, right - 1] = 1
    view = foreground_view(picture, mask)
    assert view.shape == (VIEW_SIZE, VIEW_SIZE, 3) and view.dtype == np.uint8
    assert np.array_equal(view, clip_view(picture[top:bottom, left:right]))


def test_without_a_foreground_the_whole_picture_is_seen() -> None:
    picture = noise(256, 256)
    assert np.array_equal(foreground_view(picture, np.zeros((256, 256), np.uint8)), clip_view(picture))


def test_an_edit_is_seen_on_black_as_torch_squashes_it_without_antialiasing() -> None:
    picture, part = np.random.default_rng(0).random((3, 320, 256), np.float32), np.zeros((320, 256), np.uint8)
    part[40:200, 30:90] = 1
    view = edited_view(picture, part)
    assert view.shape == (3, VIEW_SIZE, VIEW_SIZE) and view.dtype == np.float32
    row, column = 100, 50
    y, x = (row + 0.5) * 320 / VIEW_SIZE - 0.5, (column + 0.5) * 256 / VIEW_SIZE - 0.5
    top, left = int(y), int(x)
    corners = (picture * part)[:, top : top + 2, left : left + 2]
    shares = np.outer([1 - (y - top), y - top], [1 - (x - left), x - left])
    np.testing.assert_allclose(view[:, row, column], (corners * shares).sum((1, 2)), atol=1e-5)
    assert not view[:, :20].any() and not view[:, :, 90:].any()
