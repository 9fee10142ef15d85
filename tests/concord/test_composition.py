"""A change is put onto a photograph at the strength that is asked for, exactly."""

import numpy as np
import pytest

from concord.composition import compose

RANDOM = np.random.default_rng(0)
PIXELS, CHANGED = RANDOM.integers(0, 256, (2, 150, 40, 4)).astype(np.uint8)


@pytest.mark.parametrize("strength", [0.0, 0.25, 0.5, 1.0, 1.25, 1.5])
def test_it_is_the_photograph_and_so_much_of_the_change(strength: float) -> None:
    exact = PIXELS + strength * (CHANGED.astype(float) - PIXELS)
    assert np.array_equal(compose(PIXELS, CHANGED, strength), np.clip(np.floor(exact + 0.5), 0, 255))


def test_what_has_not_changed_stays() -> None:
    before = PIXELS.copy()
    assert np.array_equal(compose(PIXELS, PIXELS.copy(), 1.5), PIXELS)
    assert np.array_equal(PIXELS, before)
