"""A change is added to a photograph as far as is asked for, exactly."""

import numpy as np
import pytest

from concord.composition import added

RANDOM = np.random.default_rng(0)
PIXELS, CHANGED = RANDOM.integers(0, 256, (2, 150, 40, 3)).astype(np.float32)


@pytest.mark.parametrize("share", [0.0, 0.25, 0.5, 1.0, 1.25, 1.5])
def test_it_is_the_photograph_and_so_much_of_the_change(share: float) -> None:
    exact = PIXELS.astype(float) + share * (CHANGED.astype(float) - PIXELS)
    found = added(PIXELS, CHANGED - PIXELS, np.float32(share))
    assert np.array_equal(found, np.clip(np.floor(exact + 0.5), 0, 255))


def test_each_pixel_has_its_own_share() -> None:
    shares = np.zeros_like(PIXELS)
    shares[:, 20:] = 1
    found = added(PIXELS, CHANGED - PIXELS, shares)
    assert np.array_equal(found[:, :20], PIXELS[:, :20]) and np.array_equal(found[:, 20:], CHANGED[:, 20:])
