"""Ancestral sampling is the published one, on the steps that the authors of Blended Diffusion make."""

import numpy as np
import pytest

from concord.samplers.ddpm import Ddpm, Respaced

SHAPE = (3, 4, 5)
NOISE, OTHER = (np.random.default_rng(seed).standard_normal(SHAPE).astype(np.float32) for seed in (1, 2))


def test_the_steps_are_those_of_the_authors() -> None:
    rows, sampler = Respaced.of(100), Ddpm(100, 75)
    assert rows.timesteps[[0, 1, 2, 3, -3, -2, -1]].tolist() == [0, 10, 20, 30, 979, 989, 999]
    assert sampler.timesteps[[0, -1]].tolist() == [747, 0] and len(sampler.timesteps) == 75
    assert sampler.kept[0] == pytest.approx(0.0034534452)
    # Of the authors' own index 40.
    assert rows.kept[40] == pytest.approx(0.18736264186092771)
    assert rows.log_most[40] == pytest.approx(np.log(0.07772008757700732))
    assert rows.log_least[40] == pytest.approx(-2.5742620390628406)


def test_with_the_true_picture_a_step_draws_what_its_own_noise_level_has() -> None:
    """The mean and the least variance are those of the picture at the next step, given both ends."""
    sampler, rows = Ddpm(100, 75), Respaced.of(100)
    clean = np.full(SHAPE, 0.3, np.float32)
    noisy = sampler.noised(clean, NOISE, 10)
    after = sampler.step(noisy, clean, np.full(SHAPE, -1, np.float32), OTHER, 10)
    step = 74 - 10
    kept, before = rows.kept[step], rows.kept[step - 1]
    ratio = kept / before
    variance = (1 - before) / (1 - kept) * (1 - ratio)
    mean = np.sqrt(before) * 0.3 + np.sqrt(1 - before - variance) * NOISE
    np.testing.assert_allclose(after, mean + np.sqrt(variance) * OTHER, atol=1e-5)


def test_the_last_step_draws_nothing_and_a_gradient_moves_against_itself() -> None:
    sampler, clean = Ddpm(100, 75), np.full(SHAPE, 0.3, np.float32)
    variance = np.zeros(SHAPE, np.float32)
    last, other = (sampler.step(NOISE, clean, variance, noise, 74) for noise in (OTHER, NOISE))
    np.testing.assert_array_equal(last, other)
    plain = sampler.step(NOISE, clean, variance, OTHER, 20)
    moved = sampler.step(NOISE, clean, variance, OTHER, 20, np.ones(SHAPE, np.float32))
    assert (moved < plain).all()


@pytest.mark.parametrize(("steps", "made"), [(2, 1), (10, 10), (250, 3), (1000, 1000)])
def test_any_number_of_steps_ends_at_the_picture(steps: int, made: int) -> None:
    sampler = Ddpm(steps, made)
    assert sampler.timesteps[-1] == 0 and (np.diff(sampler.timesteps) < 0).all()
    assert np.isfinite(sampler.step(NOISE, OTHER, np.zeros(SHAPE, np.float32), OTHER, made - 1)).all()
