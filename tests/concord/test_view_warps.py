"""The views of a picture are those of the authors' kornia, drawn from numbers alone."""

import numpy as np

from concord.noise import SeededNoise
from concord.view_warps import DRAWS, WARPED, warps

SIDE = 224


def draws(**fixed: float) -> np.ndarray:
    """Numbers of which some are fixed: those of `_turned` and `_tilted` by name."""
    found = np.full(DRAWS, 0.5)
    for name, value in fixed.items():
        found[:, {"turned": 0, "angle": 1, "shift": 2, "tilted": 3}[name]] = value
    return found


def test_a_view_is_left_as_it_is_in_three_of_ten() -> None:
    left = warps(draws(turned=0.7, tilted=0.7))
    assert left.shape == (WARPED, 2, 3, 3) and left.dtype == np.float32
    np.testing.assert_array_equal(left, np.broadcast_to(np.eye(3), left.shape))
    many = np.concatenate([warps(SeededNoise(seed).uniform(0, DRAWS)) for seed in range(200)])
    shares = (many == np.eye(3)).all(axis=(2, 3)).mean(axis=0)
    np.testing.assert_allclose(shares, 0.3, atol=0.05)


def test_a_turn_is_of_up_to_15_degrees_and_a_shift_of_a_tenth_down_alone() -> None:
    turned = warps(draws(turned=0, angle=1, tilted=1))[0, 0]
    np.testing.assert_allclose(np.degrees(np.arctan2(turned[0, 1], turned[0, 0])), 15, atol=1e-4)
    centre = np.array([(SIDE - 1) / 2, (SIDE - 1) / 2, 1])
    np.testing.assert_allclose(turned @ centre, centre, atol=1e-3)
    shifted = warps(draws(turned=0, shift=1, tilted=1))[0, 0]
    np.testing.assert_allclose((centre - shifted @ centre)[:2], [0, 0.1 * SIDE * SIDE / (SIDE - 1)], atol=1e-3)


def test_a_tilt_brings_every_corner_in_by_up_to_seven_twentieths() -> None:
    numbers = draws(turned=1, tilted=0)
    numbers[:, 4:] = 1
    tilted = warps(numbers)[0, 1]
    inwards = 0.7 * SIDE / 2
    for corner, inner in (((-0.5, -0.5), (inwards, inwards)), ((SIDE - 0.5, SIDE - 0.5), (SIDE - 1 - inwards,) * 2)):
        x, y, depth = tilted @ np.array([*inner, 1])
        np.testing.assert_allclose((x / depth, y / depth), corner, atol=1e-2)
