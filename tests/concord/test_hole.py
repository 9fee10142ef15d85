"""A hole's window: large enough, of few shapes, and put back without a change outside the hole."""

import numpy as np
import pytest

from concord.errors import InvalidMask
from concord.hole import HoleWindow, check_hole

MULTIPLE, MOST = 32, 512


def mask_of(height: int, width: int, rows: slice, columns: slice) -> np.ndarray:
    mask = np.zeros((height, width), np.uint8)
    mask[rows, columns] = 255
    return mask


def photograph(height: int, width: int, channels: int = 3) -> np.ndarray:
    return np.random.default_rng(height).integers(0, 256, (height, width, channels), np.uint8)


def around(mask: np.ndarray) -> HoleWindow:
    return HoleWindow.around(mask, MOST, MULTIPLE)


@pytest.mark.parametrize(
    ("mask", "rows", "columns", "size"),
    [
        (mask_of(1000, 1000, slice(480, 520), slice(480, 520)), (372, 628), (372, 628), (256, 256)),
        (mask_of(1000, 1000, slice(0, 1), slice(999, 1000)), (0, 256), (744, 1000), (256, 256)),
        (mask_of(1000, 1000, slice(300, 500), slice(400, 560)), (208, 592), (288, 672), (384, 384)),
        (mask_of(2000, 2000, slice(500, 1300), slice(600, 1400)), (100, 1700), (200, 1800), (512, 512)),
        (mask_of(100, 700, slice(10, 20), slice(300, 310)), (0, 100), (177, 433), (100, 256)),
        (mask_of(1, 2, slice(0, 1), slice(0, 1)), (0, 1), (0, 2), (1, 2)),
    ],
    ids=["small", "in a corner", "wider context", "shrunk", "low picture", "two pixels"],
)
def test_a_window_is_the_surroundings_of_its_hole_at_a_size_that_networks_take(mask, rows, columns, size) -> None:
    window = around(mask)
    assert window == HoleWindow(slice(*rows), slice(*columns), size, window.padded)
    assert all(
        each % MULTIPLE == 0 and 0 <= each - own < MULTIPLE for each, own in zip(window.padded, size, strict=True)
    )


def test_any_hole_lies_in_its_window_with_known_pixels_and_no_more_pixels_than_allowed() -> None:
    random = np.random.default_rng(0)
    for _ in range(300):
        height, width = (int(each) for each in random.integers(2, 3000, 2))
        (top, bottom), (left, right) = (np.sort(random.integers(0, side, 2)) for side in (height, width))
        mask = mask_of(height, width, slice(top, bottom + 1), slice(left, right + 1))
        if mask.all():
            continue
        window = around(mask)
        inside = mask[window.rows, window.columns]
        assert np.count_nonzero(inside) == np.count_nonzero(mask) and not inside.all()
        assert all(each > 0 and padded % MULTIPLE == 0 for each, padded in zip(window.size, window.padded, strict=True))
        assert window.size[0] * window.size[1] <= MOST**2


@pytest.mark.parametrize("size", [(128, 512), (60, 1000), (30, 20), (256, 256), (900, 700)], ids=str)
def test_a_network_with_one_size_sees_a_square_of_it(size: tuple[int, int]) -> None:
    mask = np.full(size, 255, np.uint8)
    window = HoleWindow.around(mask, 256, 256, 256)
    assert window.size == window.padded == (256, 256)
    picture = photograph(*size)
    assert window.seen(picture, mask)[0].shape == (256, 256, 3)
    assert window.filled(picture, mask, np.zeros((3, 256, 256), np.float32), blend=False).max() == 0


def test_a_long_thin_hole_is_not_shrunk_as_a_square_would_be() -> None:
    window = around(mask_of(2000, 3000, slice(990, 1010), slice(500, 2500)))
    assert window.size[1] / (window.columns.stop - window.columns.start) > 0.4


def test_a_network_of_large_squares_sees_more_around_a_hole_and_small_pictures_enlarged() -> None:
    wide = HoleWindow.around(mask_of(1000, 1000, slice(480, 520), slice(480, 520)), 512, 64, 512)
    assert wide == HoleWindow(slice(244, 756), slice(244, 756), (512, 512), (512, 512))
    mask = mask_of(90, 120, slice(30, 60), slice(40, 80))
    window = HoleWindow.around(mask, 512, 64, 512)
    assert window == HoleWindow(slice(0, 90), slice(0, 120), (448, 576), (448, 576))
    assert HoleWindow.around(mask, 256, 64, 512).size == (192, 320)
    smooth = np.add.outer(np.arange(90), np.arange(120))[..., np.newaxis].repeat(3, 2).astype(np.uint8)
    picture, hole = window.seen(smooth, mask)
    assert picture.shape == (448, 576, 3) and abs(hole.mean() - 1 / 9) < 0.01
    darker = np.moveaxis(picture, 2, 0) / np.float32(255) - np.float32(10 / 255)
    filled = window.filled(smooth, mask, darker, blend=False).astype(int)
    np.testing.assert_allclose(filled[mask > 0], smooth[mask > 0].astype(int) - 10, atol=1)
    assert (filled[mask == 0] == smooth[mask == 0]).all()


def test_what_was_in_the_hole_is_not_seen_at_its_edge_and_padding_mirrors() -> None:
    pixels, mask = photograph(1501, 1400, 4), mask_of(1501, 1400, slice(301, 1103), slice(303, 1101))
    window = around(mask)
    picture, hole = window.seen(pixels, mask)
    other = np.where(mask[..., np.newaxis] > 0, 255 - pixels, pixels)
    changed = (window.seen(other, mask)[0] != picture).any(axis=2)
    assert picture.dtype == hole.dtype == np.uint8 and set(np.unique(hole)) == {0, 1}
    assert changed.any() and not (changed & (hole == 0)).any()
    small, low = photograph(40, 70), mask_of(40, 70, slice(30, 40), slice(60, 70))
    picture, hole = around(low).seen(small, low)
    assert picture.shape == (64, 96, 3) and (picture[40:] == picture[16:40][::-1]).all() and hole[45, 65] == 1


@pytest.mark.parametrize("blend", [True, False])
@pytest.mark.parametrize("channels", [3, 4])
def test_pixels_outside_the_hole_and_alpha_are_untouched(blend: bool, channels: int) -> None:
    pixels, mask = photograph(1300, 900, channels), mask_of(1300, 900, slice(100, 900), slice(50, 800))
    window = around(mask)
    before = pixels.copy()
    filled = window.filled(pixels, mask, np.full((3, *window.padded), 0.6, np.float32), blend=blend)
    assert (pixels == before).all() and filled.shape == pixels.shape
    assert (filled[mask == 0] == pixels[mask == 0]).all() and (filled[..., 3:] == pixels[..., 3:]).all()
    assert (filled[500, 400, :3] == 153).all()


def test_without_a_blend_the_hole_holds_what_was_drawn() -> None:
    pixels, mask = photograph(300, 300), mask_of(300, 300, slice(100, 140), slice(90, 150))
    window, drawn = around(mask), photograph(300, 300)[::-1]
    planes = np.moveaxis(drawn[window.rows, window.columns] / np.float32(255), 2, 0)
    filled = window.filled(pixels, mask, planes, blend=False)
    assert (filled == np.where(mask[..., np.newaxis] > 0, drawn, pixels)).all()


def test_a_shift_of_what_was_drawn_is_taken_back_at_the_edge_and_kept_in_the_depth() -> None:
    pixels, mask = np.full((300, 300, 3), 100, np.uint8), mask_of(300, 300, slice(100, 160), slice(100, 160))
    window = around(mask)
    filled = window.filled(pixels, mask, np.full((3, *window.padded), 120 / 255, np.float32))
    assert abs(int(filled[100, 130, 0]) - 100) <= 3 and filled[130, 130, 0] == 120
    steps = np.diff(filled[98:131, 130, 0].astype(int))
    assert (steps >= 0).all() and steps.max() <= 4


@pytest.mark.parametrize("size", [(300, 300), (1000, 700)], ids=str)
def test_a_shift_of_what_was_drawn_is_taken_back_in_the_depth_where_it_is_asked_for(size: tuple[int, int]) -> None:
    mask = mask_of(*size, slice(100, 160), slice(100, 260))
    picture = np.add.outer(np.arange(size[0]), np.arange(size[1]))[..., np.newaxis].repeat(3, 2) // 8
    pixels, window = picture.astype(np.uint8), around(mask)
    seen = np.moveaxis(window.seen(pixels, mask)[0] / np.float32(255), 2, 0)
    filled = window.filled(pixels, mask, seen * np.float32(0.5) + np.float32(0.2), deep=True)
    assert abs(filled.astype(int) - picture).max() <= 3 and (filled[mask == 0] == pixels[mask == 0]).all()


def test_a_hole_that_covers_everything_is_refused_by_name() -> None:
    check_hole(mask_of(9, 9, slice(0, 9), slice(0, 8)))
    with pytest.raises(InvalidMask, match=r"MASK: covers the whole picture; allowed: a mask that leaves some"):
        check_hole(np.full((9, 9), 255, np.uint8))
