"""Windows over a map of any size, and the one map of their answers."""

import numpy as np
import pytest

from concord.noise import SeededNoise
from concord.tiles import Blend, Tiles

MOST = 32
SIZES = [(32, 32), (16, 48), (64, 80), (33, 40), (95, 32), (100, 131)]


@pytest.mark.parametrize("size", SIZES, ids=str)
def test_windows_cover_a_map_of_any_size_and_overlap_by_half(size: tuple[int, int]) -> None:
    tiles = Tiles.over(*size, MOST)
    assert tiles.shape == size and (tiles.height, tiles.width) == tuple(min(MOST, side) for side in size)
    for beginnings in (tiles.tops, tiles.lefts):
        assert beginnings[0] == 0 and all(0 < gap <= MOST // 2 for gap in np.diff(beginnings))
    assert len(tiles.windows(np.zeros((1, *size), np.float32))) == len(tiles)


def test_where_the_strides_fit_they_lie_as_published() -> None:
    tiles = Tiles.over(256, 192, 128)
    assert tiles.tops == (0, 64, 128) and tiles.lefts == (0, 64)


@pytest.mark.parametrize("size", SIZES, ids=str)
def test_windows_that_agree_are_the_map_again(size: tuple[int, int]) -> None:
    whole = SeededNoise(1).draw(0, (3, *size))
    tiles = Tiles.over(*size, MOST)
    np.testing.assert_allclose(tiles.blended(tiles.windows(whole)), whole, atol=1e-5)


def test_rows_are_given_as_soon_as_no_other_window_reaches_them() -> None:
    whole = SeededNoise(1).draw(0, (2, 70, 40))
    tiles = Tiles.over(*whole.shape[1:], MOST)
    blend = Blend(tiles, 4)
    larger = [np.repeat(np.repeat(window, 4, 1), 4, 2) for window in tiles.windows(whole)]
    columns = len(tiles.lefts)
    bands = [blend.rows(n, larger[n * columns : (n + 1) * columns]) for n in range(len(tiles.tops))]
    assert [band.shape[1] for band in bands] == [4 * gap for gap in (*np.diff(tiles.tops), MOST)]
    np.testing.assert_allclose(np.concatenate(bands, 1), np.repeat(np.repeat(whole, 4, 1), 4, 2), atol=1e-5)


def test_a_window_says_the_more_the_farther_a_pixel_is_from_its_border() -> None:
    tiles = Tiles.over(32, 48, MOST)
    blended = tiles.blended([np.zeros((1, 32, 32), np.float32), np.ones((1, 32, 32), np.float32)])[0, 16]
    assert (blended[:16] == 0).all() and (blended[32:] == 1).all()
    assert (np.diff(blended[16:32]) > 0).all() and blended[16] < 0.05 and blended[31] > 0.95
