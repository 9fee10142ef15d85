"""Every sampler is diffusers' scheduler of the settings it names, at every number of steps."""

import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from diffusers import (
    DDIMScheduler,
    DPMSolverMultistepScheduler,
    EulerAncestralDiscreteScheduler,
    HeunDiscreteScheduler,
    PNDMScheduler,
)
from diffusers.schedulers import scheduling_euler_ancestral_discrete
from numpy.typing import NDArray

from concord.noise import SeededNoise
from concord.samplers import SAMPLERS, make_sampler
from concord.samplers.ddim import Ddim
from concord.server.declared import catalogue
from concord.server.installation import MODEL_REPOSITORIES

TABLES = Path(__file__).parents[1] / "published" / "sampler-tables.txt"
MAX_STEPS = 50
# Stable Diffusion's; the offset matters to ``leading`` spacing only.
SCHEDULE = {"beta_start": 0.00085, "beta_end": 0.012, "beta_schedule": "scaled_linear", "steps_offset": 1}
PUBLISHED: dict[str, Callable] = {
    "euler_ancestral": lambda: EulerAncestralDiscreteScheduler(**SCHEDULE, timestep_spacing="linspace"),
    "dpmpp_2m": lambda: DPMSolverMultistepScheduler(**SCHEDULE),
    "ddim": lambda: DDIMScheduler(**SCHEDULE, set_alpha_to_one=False, clip_sample=False),
    "heun": lambda: HeunDiscreteScheduler(**SCHEDULE),
    "plms": lambda: PNDMScheduler(**SCHEDULE, skip_prk_steps=True, set_alpha_to_one=False),
}
SHAPE = (4, 6, 5)
MIXING = np.random.default_rng(0).normal(0, 0.5, (4, 4)).astype(np.float32)


def network(scaled: NDArray[np.float32], timestep: float) -> NDArray[np.float32]:
    """Stands for a UNet: nearly finds the noise in standard normal data, and mixes channels."""
    mixed = np.einsum("oc,chw->ohw", MIXING, scaled)
    return np.asarray(min(1, timestep / 500) * scaled + 0.3 * np.tanh(mixed + timestep / 1000), np.float32)


def test_every_sampler_has_its_counterpart() -> None:
    assert PUBLISHED.keys() == SAMPLERS.keys()


def test_the_samplers_that_pipelines_declare_are_these() -> None:
    declared = [pipeline.settings.get("SAMPLER") for pipeline in catalogue(MODEL_REPOSITORIES, missing=()).pipelines]
    assert any(declared)
    assert all(setting is None or set(setting.choices) == SAMPLERS.keys() for setting in declared)


@pytest.mark.parametrize("name", SAMPLERS)
def test_every_step_is_that_of_diffusers(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """From the same noise, each on its own latents, at 1 to 50 steps."""
    for steps in range(1, MAX_STEPS + 1):
        scheduler = PUBLISHED[name]()
        scheduler.set_timesteps(steps)
        noise = SeededNoise(steps).draw(0, SHAPE)
        sampler = make_sampler(name, steps)
        latent = noise * np.float32(sampler.initial_scale)
        side_by_side(sampler, latent, scheduler, torch.from_numpy(noise) * scheduler.init_noise_sigma, 0, monkeypatch)


@pytest.mark.parametrize("strength", [0.02, 0.3, 0.5, 0.7, 0.98])
@pytest.mark.parametrize("steps", [2, 3, 5, 10, 50])
@pytest.mark.parametrize("name", SAMPLERS)
def test_from_an_image_every_step_is_that_of_diffusers(
    name: str, steps: int, strength: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As its image-to-image pipeline starts at a strength below 1."""
    start = steps - max(1, int(steps * strength))
    scheduler = PUBLISHED[name]()
    scheduler.set_timesteps(steps)
    skipped = start * scheduler.order
    if hasattr(scheduler, "set_begin_index"):
        scheduler.set_begin_index(skipped)
    image, noise = SeededNoise(1).draw(0, SHAPE), SeededNoise(2).draw(0, SHAPE)
    sampler = make_sampler(name, steps, start)
    first = scheduler.timesteps[skipped : skipped + 1]
    theirs = scheduler.add_noise(torch.from_numpy(image)[None], torch.from_numpy(noise)[None], first)[0]
    ours = sampler.noised(image, noise, 0)
    close(ours, theirs)
    side_by_side(sampler, ours, scheduler, theirs, skipped, monkeypatch)


def side_by_side(sampler, latent, scheduler, theirs, skipped: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every call of both, compared; diffusers' schedule begins after ``skipped`` calls."""
    timesteps = scheduler.timesteps[skipped:]
    assert sampler.timesteps.dtype == np.float32
    np.testing.assert_array_equal(sampler.timesteps, timesteps.numpy())
    noise = SeededNoise(9)
    for i, timestep in enumerate(timesteps):
        drawn = noise.draw(i + 1, SHAPE)
        monkeypatch.setattr(
            scheduling_euler_ancestral_discrete, "randn_tensor", lambda *_, n=drawn, **__: torch.from_numpy(n)
        )
        scaled, their_scaled = sampler.scale(latent, i), scheduler.scale_model_input(theirs, timestep)
        close(scaled, their_scaled)
        prediction = network(scaled, float(sampler.timesteps[i]))
        their_prediction = torch.from_numpy(network(their_scaled.numpy(), float(timestep)))
        estimate = sampler.estimate(latent, prediction, i)
        latent = sampler.step(latent, prediction, i, drawn)
        stepped = scheduler.step(their_prediction, timestep, theirs)
        theirs = stepped.prev_sample
        close(latent, theirs)
        if "pred_original_sample" in stepped:
            close(estimate, stepped.pred_original_sample)
        assert latent.dtype == estimate.dtype == scaled.dtype == np.float32


@pytest.mark.parametrize("steps", [1, 7, 50])
def test_with_eta_every_step_draws_the_noise_of_diffusers(steps: int) -> None:
    scheduler = PUBLISHED["ddim"]()
    scheduler.set_timesteps(steps)
    sampler, noise = Ddim(steps, eta=1.0), SeededNoise(steps)
    latent = noise.draw(0, SHAPE)
    for i, timestep in enumerate(scheduler.timesteps):
        drawn, prediction = noise.draw(i + 1, SHAPE), network(latent, float(timestep))
        given = (torch.from_numpy(prediction), timestep, torch.from_numpy(latent))
        theirs = scheduler.step(*given, eta=1.0, variance_noise=torch.from_numpy(drawn)).prev_sample
        latent = sampler.step(latent, prediction, i, drawn)
        close(latent, theirs)
        assert latent.dtype == np.float32


@pytest.mark.parametrize("start", [0, 1, 4])
@pytest.mark.parametrize("name", SAMPLERS)
def test_every_call_belongs_to_a_step_in_their_order(name: str, start: int) -> None:
    sampler = make_sampler(name, 5, start)
    assert len(sampler.step_of) == len(sampler.timesteps)
    assert sorted(set(sampler.step_of)) == list(range(5 - start))
    assert list(sampler.step_of) == sorted(sampler.step_of)


@pytest.mark.parametrize("name", SAMPLERS)
def test_a_latent_with_no_noise_left_is_the_clean_one(name: str) -> None:
    sampler, clean = make_sampler(name, 5), SeededNoise(1).draw(0, SHAPE)
    noised = sampler.noised(clean, SeededNoise(2).draw(0, SHAPE), len(sampler.timesteps))
    np.testing.assert_array_equal(noised, clean)


@pytest.mark.parametrize("name", ["euler_ancestral", "dpmpp_2m", "heun"])
@pytest.mark.parametrize("steps", [1, 5, 50])
def test_the_last_step_arrives_at_the_estimate(name: str, steps: int) -> None:
    """A network that knows the truth is believed: the result is the truth."""
    sampler, noise = make_sampler(name, steps), SeededNoise(1)
    truth = noise.draw(100, SHAPE)
    latent = noise.draw(0, SHAPE) * np.float32(sampler.initial_scale)
    zero = np.zeros(SHAPE, np.float32)
    for i in range(len(sampler.timesteps)):
        # Both are affine in the prediction, so the one that estimates the truth follows from two probes.
        offset = sampler.estimate(latent, zero, i)
        slope = sampler.estimate(latent, zero + 1, i) - offset
        prediction = (truth - offset) / slope
        np.testing.assert_allclose(sampler.estimate(latent, prediction, i), truth, atol=1e-3)
        latent = sampler.step(latent, prediction, i, noise.draw(i + 1, SHAPE))
    np.testing.assert_allclose(latent, truth, atol=1e-3)


def test_the_published_table_of_diffharmony() -> None:
    rows = re.findall(r"^([0-4]) +([\d.]+) +([\d.]+) +([\d.]+) +([\d.]+) +([\d.]+)$", TABLES.read_text(), re.M)
    assert len(rows) == 5
    sampler, one, zero = make_sampler("euler_ancestral", 5), np.ones(1, np.float32), np.zeros(1, np.float32)
    for i, timestep, sigma, c_in, up, down in (tuple(map(float, row)) for row in rows):
        step = int(i)
        assert sampler.timesteps[step] == timestep
        assert sampler.scale(one, step) == pytest.approx(c_in, rel=1e-5)
        assert sampler.estimate(zero, one, step) == pytest.approx(-sigma, rel=1e-5)
        assert sampler.step(zero, one, step, zero) == pytest.approx(down - sigma, abs=1e-5)
        assert sampler.step(zero, zero, step, one) == pytest.approx(up, rel=1e-5)


def test_the_published_timesteps_of_phdiffusion() -> None:
    """50 steps of PLMS at strength 0.7: 36 calls."""
    [row] = re.findall(r"^701 681 [\d ]+$", TABLES.read_text(), re.M)
    np.testing.assert_array_equal(make_sampler("plms", 50, start=15).timesteps, np.array(row.split(), np.float32))


def close(ours: NDArray[np.float32], theirs: torch.Tensor) -> None:
    """Equal but for the rounding of fp32, whose size is that of the latent."""
    expected = theirs.numpy()
    np.testing.assert_allclose(ours, expected, rtol=0, atol=1e-5 * max(1, expected.std()))
