"""A membrane over a hole."""

import numpy as np
import pytest

from concord.membrane import membrane


@pytest.mark.parametrize("size", [(1, 2), (7, 5), (64, 64), (201, 333)], ids=str)
def test_what_is_known_stays_and_what_is_not_lies_between(size: tuple[int, int]) -> None:
    rng = np.random.default_rng(size[0])
    values, hole = rng.normal(size=(*size, 3)).astype(np.float32), rng.random(size) < 0.6
    hole[0, 0] = False
    spanned = membrane(values, hole)
    np.testing.assert_array_equal(spanned[~hole], values[~hole])
    assert spanned.min() >= values[~hole].min() - 1e-5 and spanned.max() <= values[~hole].max() + 1e-5


def test_it_solves_laplaces_equation_over_the_hole() -> None:
    rows, columns = np.mgrid[:120, :150].astype(np.float32) / 100
    plane = np.stack((rows, rows - 2 * columns, rows**2 - columns**2), axis=2)
    hole = np.zeros((120, 150), bool)
    hole[30:90, 20:110] = True
    assert abs(membrane(plane, hole) - plane).max() < 0.02 * np.ptp(plane)
