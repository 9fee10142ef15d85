"""The noise schedules of latent diffusion: 1000 timesteps, and betas that are linear in their square roots.

``kept`` is the share of the signal's power that is left, the papers' cumulative alpha; ``sigma`` the noise's standard
deviation relative to the signal's.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from concord.arrays import Floats

TRAINING_STEPS = 1000


@dataclass(frozen=True)
class Schedule:
    """The first and the last beta, linear between in their square roots; the defaults are Stable Diffusion's."""

    first: float = 0.00085
    last: float = 0.012


STABLE_DIFFUSION = Schedule()


def signal_power(schedule: Schedule = STABLE_DIFFUSION) -> NDArray[np.float64]:
    """The share of the signal's power left after each training step, [1000]."""
    # The schedule is published as torch computes it: roots counted in fp32 strides from the nearer end, squares,
    # differences and products rounded to fp32. Computed exactly, the highest sigma differs in its sixth digit.
    first, last = np.float32(schedule.first**0.5), np.float32(schedule.last**0.5)
    stride = np.float64((last - first) / np.float32(TRAINING_STEPS - 1))
    index = np.arange(TRAINING_STEPS)
    rising, falling = first + stride * index, last - stride * index[::-1]
    roots = np.where(index < TRAINING_STEPS // 2, rising, falling).astype(np.float32)
    return np.cumprod(1 - roots**2, dtype=np.float64).astype(np.float32).astype(np.float64)


def even_timesteps(steps: int) -> Floats:
    """Timesteps spread evenly from 999 to 0, fractions among them; diffusers' ``linspace`` spacing."""
    return np.linspace(0, TRAINING_STEPS - 1, steps, dtype=np.float32)[::-1].copy()


def leading_timesteps(steps: int) -> tuple[NDArray[np.int64], int]:
    """Whole timesteps from high to 1 and the stride between them; diffusers' ``leading`` spacing with an offset of 1.

    It starts from pure noise well below the highest timestep (801 at 5 steps, 1 at a single one), as published.
    """
    stride = TRAINING_STEPS // steps
    return np.arange(steps)[::-1] * stride + 1, stride


def sigmas_at(timesteps: Floats) -> NDArray[np.float64]:
    """The sigma of each timestep, and a 0 after the last."""
    kept = signal_power()
    sigmas = np.interp(timesteps, np.arange(TRAINING_STEPS), np.sqrt((1 - kept) / kept))
    return np.append(sigmas, 0.0)


class UnitPower:
    """Latents of power 1, of which the signal has a share ``kept`` and standard normal noise the rest. See `Sampler`.

    Args:
        kept: at each call, and at the end.
    """

    initial_scale = 1.0

    def __init__(self, kept: Sequence[float]) -> None:
        self._kept = kept

    def scale(self, latent: Floats, i: int) -> Floats:
        return latent

    def estimate(self, latent: Floats, noise_prediction: Floats, i: int) -> Floats:
        kept = self._kept[i]
        return (latent - np.float32(np.sqrt(1 - kept)) * noise_prediction) / np.float32(np.sqrt(kept))

    def noised(self, clean: Floats, noise: Floats, i: int) -> Floats:
        return mixed(clean, noise, self._kept[i])


class SignalPlusNoise:
    """Latents that are the signal plus ``sigma`` times standard normal noise. See `Sampler`.

    Args:
        sigmas: at each call, and at the end.
    """

    def __init__(self, sigmas: Sequence[float]) -> None:
        self._sigmas = sigmas
        self.initial_scale = sigmas[0]

    def scale(self, latent: Floats, i: int) -> Floats:
        return latent / np.float32(np.sqrt(self._sigmas[i] ** 2 + 1))

    def estimate(self, latent: Floats, noise_prediction: Floats, i: int) -> Floats:
        return latent - np.float32(self._sigmas[i]) * noise_prediction

    def noised(self, clean: Floats, noise: Floats, i: int) -> Floats:
        return clean + np.float32(self._sigmas[i]) * noise


def mixed(clean: Floats, noise: Floats, kept: float) -> Floats:
    """A clean latent and noise, mixed so that the power stays 1."""
    return np.float32(np.sqrt(kept)) * clean + np.float32(np.sqrt(1 - kept)) * noise
