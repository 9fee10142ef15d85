"""Ancestral sampling with Euler steps."""

import math

import numpy as np

from concord.samplers.sampler import Floats
from concord.samplers.schedule import even_timesteps, sigmas_at


class EulerAncestral:
    """Ancestral sampling with Euler steps (Karras et al. 2022; Crowson's k-diffusion): DiffHarmony's own sampler.

    Equals ``EulerAncestralDiscreteScheduler(beta_schedule="scaled_linear", timestep_spacing="linspace")``. Latents are
    the signal plus ``sigma`` times noise; timesteps are fractions.
    """

    def __init__(self, steps: int, start: int = 0) -> None:
        self.timesteps = even_timesteps(steps)[start:]
        self.step_of = tuple(range(steps - start))
        self._sigmas = sigmas_at(self.timesteps)
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

    def noised(self, clean: Floats, noise: Floats, i: int) -> Floats:
        """See `Sampler`."""
        return clean + np.float32(self._sigmas[i]) * noise
