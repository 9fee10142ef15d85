"""Samplers of latent diffusion: the steps from noise to a latent, given a network that predicts the noise in it.

All follow Stable Diffusion's training: 1000 timesteps, betas from 0.00085 to 0.012, linear in their square roots.
Each equals one of diffusers' schedulers with the settings that its class names, and keeps the state of one request.
"""

import math
from collections.abc import Callable
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]

MAX_STEPS = 50
_TRAINING_STEPS = 1000
_BETA_START, _BETA_END = 0.00085, 0.012


class Sampler(Protocol):
    """What the loop needs of a sampler.

    Latents and predictions are fp32 of one shape, any; ``i`` counts the steps from 0 and goes up by one.

    Attributes:
        timesteps: fp32 [n], what the network is told at each step; not whole numbers for every sampler.
        initial_scale: standard deviation of the latent that the first step starts from.
    """

    timesteps: Floats
    initial_scale: float

    def scale(self, latent: Floats, i: int) -> Floats:
        """The latent as the network reads it."""

    def estimate(self, latent: Floats, noise_prediction: Floats, i: int) -> Floats:
        """The latent without noise, as far as this step can tell."""

    def step(self, latent: Floats, noise_prediction: Floats, i: int, noise: Floats) -> Floats:
        """The latent of the next step; after the last one, the result.

        Args:
            latent: the current one, not scaled.
            noise_prediction: the network's output for ``scale(latent, i)`` and ``timesteps[i]``.
            i: index of the step.
            noise: standard normal; not every sampler uses it.
        """


def make_sampler(name: str, steps: int) -> Sampler:
    """A sampler by name, one of `SAMPLERS`, for 1 to `MAX_STEPS` steps."""
    return SAMPLERS[name](steps)


class EulerAncestral:
    """Ancestral sampling with Euler steps (Karras et al. 2022; Crowson's k-diffusion): DiffHarmony's own sampler.

    Equals ``EulerAncestralDiscreteScheduler(beta_schedule="scaled_linear", timestep_spacing="linspace")``. Latents are
    the signal plus ``sigma`` times noise; timesteps are fractions.
    """

    def __init__(self, steps: int) -> None:
        self.timesteps = np.linspace(0, _TRAINING_STEPS - 1, steps, dtype=np.float32)[::-1].copy()
        self._sigmas = _sigmas_at(self.timesteps)
        self.initial_scale = float(self._sigmas[0])

    def scale(self, latent: Floats, i: int) -> Floats:
        """See `Sampler`."""
        return latent / np.float32(np.sqrt(self._sigmas[i] ** 2 + 1))

    def estimate(self, latent: Floats, noise_prediction: Floats, i: int) -> Floats:
        """See `Sampler`."""
        return latent - np.float32(self._sigmas[i]) * noise_prediction

    def step(self, latent: Floats, noise_prediction: Floats, i: int, noise: Floats) -> Floats:
        """See `Sampler`."""
        sigma, after = map(float, self._sigmas[i : i + 2])
        up = after * math.sqrt(1 - (after / sigma) ** 2)
        down = math.sqrt(after**2 - up**2)
        stepped: Floats = latent + np.float32(down - sigma) * noise_prediction + np.float32(up) * noise
        return stepped


class DpmSolverMultistep:
    """DPM-Solver++ of second order, multistep (Lu et al. 2022, algorithm 2, midpoint form); deterministic.

    Equals ``DPMSolverMultistepScheduler(beta_schedule="scaled_linear")``: its defaults are ``dpmsolver++``, order 2,
    ``midpoint``, ``linspace`` spacing, ``lower_order_final`` and a last sigma of zero.
    """

    initial_scale = 1.0

    def __init__(self, steps: int) -> None:
        self.timesteps = np.linspace(0, _TRAINING_STEPS - 1, steps + 1).round()[:0:-1].astype(np.float32)
        self._sigmas = _sigmas_at(self.timesteps)
        self._before: Floats | None = None

    def scale(self, latent: Floats, i: int) -> Floats:
        """See `Sampler`."""
        return latent

    def estimate(self, latent: Floats, noise_prediction: Floats, i: int) -> Floats:
        """See `Sampler`."""
        return _without_noise(latent, noise_prediction, _kept(self._sigmas[i]))

    def step(self, latent: Floats, noise_prediction: Floats, i: int, noise: Floats) -> Floats:
        """See `Sampler`; uses no noise."""
        sigma, after = self._sigmas[i], self._sigmas[i + 1]
        signal, signal_after = np.sqrt(_kept(sigma)), np.sqrt(_kept(after))
        estimate = self.estimate(latent, noise_prediction, i)
        target = estimate
        # The last step is of first order: to a sigma of zero there is no half log-SNR to extrapolate over.
        if self._before is not None and after > 0:
            ratio = np.log(self._sigmas[i - 1] / sigma) / np.log(sigma / after)
            target = estimate + np.float32(0.5 / ratio) * (estimate - self._before)
        self._before = estimate
        # The paper's sigma_t / sigma_s and -alpha_t * (exp(-h) - 1), which stay finite in this form.
        shrink = after * signal_after / (sigma * signal)
        return np.float32(shrink) * latent + np.float32(signal_after * (1 - after / sigma)) * target


class Ddim:
    """Denoising diffusion implicit models (Song et al. 2020), eta 0; deterministic.

    Equals ``DDIMScheduler(beta_schedule="scaled_linear", steps_offset=1, set_alpha_to_one=False, clip_sample=False)``,
    Stable Diffusion's settings. Its ``leading`` spacing starts from pure noise well below the highest timestep (801 at
    5 steps, 1 at a single one), as published.
    """

    initial_scale = 1.0

    def __init__(self, steps: int) -> None:
        stride = _TRAINING_STEPS // steps
        timesteps = np.arange(steps)[::-1] * stride + 1
        self.timesteps = timesteps.astype(np.float32)
        self._kept = _signal_power()[timesteps]
        self._kept_after = _signal_power()[np.maximum(timesteps - stride, 0)]

    def scale(self, latent: Floats, i: int) -> Floats:
        """See `Sampler`."""
        return latent

    def estimate(self, latent: Floats, noise_prediction: Floats, i: int) -> Floats:
        """See `Sampler`."""
        return _without_noise(latent, noise_prediction, self._kept[i])

    def step(self, latent: Floats, noise_prediction: Floats, i: int, noise: Floats) -> Floats:
        """See `Sampler`; uses no noise."""
        kept = self._kept_after[i]
        estimate = self.estimate(latent, noise_prediction, i)
        return np.float32(np.sqrt(kept)) * estimate + np.float32(np.sqrt(1 - kept)) * noise_prediction


SAMPLERS: dict[str, Callable[[int], Sampler]] = {
    "euler_ancestral": EulerAncestral,
    "dpmpp_2m": DpmSolverMultistep,
    "ddim": Ddim,
}


def _signal_power() -> NDArray[np.float64]:
    """The share of the signal's power left after each training step, [1000]; the papers' cumulative alpha."""
    # The schedule is published as torch computes it: roots counted in fp32 strides from the nearer end, squares,
    # differences and products rounded to fp32. Computed exactly, the highest sigma differs in its sixth digit.
    first, last = np.float32(_BETA_START**0.5), np.float32(_BETA_END**0.5)
    stride = np.float64((last - first) / np.float32(_TRAINING_STEPS - 1))
    index = np.arange(_TRAINING_STEPS)
    rising, falling = first + stride * index, last - stride * index[::-1]
    roots = np.where(index < _TRAINING_STEPS // 2, rising, falling).astype(np.float32)
    return np.cumprod(1 - roots**2, dtype=np.float64).astype(np.float32).astype(np.float64)


def _sigmas_at(timesteps: Floats) -> NDArray[np.float64]:
    """Standard deviation of the noise relative to the signal at each timestep, and a 0 after the last."""
    kept = _signal_power()
    sigmas = np.interp(timesteps, np.arange(_TRAINING_STEPS), np.sqrt((1 - kept) / kept))
    return np.append(sigmas, 0.0)


def _kept(sigma: float) -> float:
    """The signal's share of the power where the noise is ``sigma`` times the signal."""
    return 1 / (sigma**2 + 1)


def _without_noise(latent: Floats, noise_prediction: Floats, kept: float) -> Floats:
    return (latent - np.float32(np.sqrt(1 - kept)) * noise_prediction) / np.float32(np.sqrt(kept))
