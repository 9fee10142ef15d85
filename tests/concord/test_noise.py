"""A seed means the same noise everywhere and always."""

import numpy as np
import pytest

from concord.noise import MAX_SEED, SeededNoise


def test_a_draw_depends_on_seed_index_and_shape_alone() -> None:
    noise = SeededNoise(7)
    later = noise.draw(3, (4, 8, 8))
    noise.draw(0, (4, 64, 64))
    assert np.array_equal(noise.draw(3, (4, 8, 8)), later)
    assert np.array_equal(SeededNoise(7).draw(3, (4, 8, 8)), later)


def test_seeds_and_indices_give_different_noise() -> None:
    draws = [SeededNoise(seed).draw(index, (100,)) for seed in (0, 1, MAX_SEED) for index in (0, 1, 50)]
    correlations = np.corrcoef(draws) - np.eye(len(draws))
    assert np.abs(correlations).max() < 0.4


def test_a_seed_keeps_its_meaning() -> None:
    """These numbers are part of the promise: a seed noted down last year must still give its picture."""
    expected = [-0.96994865, 0.6291281, -0.66871816, 0.8271647, 0.09959381]
    np.testing.assert_allclose(SeededNoise(42).draw(1, (5,)), expected, rtol=1e-6)


def test_the_noise_is_standard_normal() -> None:
    drawn = SeededNoise(3).draw(0, (4, 128, 128))
    assert drawn.dtype == np.float32
    assert drawn.mean() == pytest.approx(0, abs=0.02)
    assert drawn.std() == pytest.approx(1, abs=0.02)
    assert (np.abs(drawn) < 1).mean() == pytest.approx(0.6827, abs=0.01)
    assert np.abs(np.corrcoef(drawn.reshape(4, -1)) - np.eye(4)).max() < 0.03


def test_any_shape_can_be_drawn() -> None:
    assert SeededNoise(0).draw(0, (3, 5, 1)).shape == (3, 5, 1)
    assert SeededNoise(0).draw(0, (1,)).shape == (1,)
