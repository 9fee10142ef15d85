"""Ancestral sampling with Euler steps."""

import math

import numpy as np

from concord.arrays import Floats
from concord.samplers.schedule import SignalPlusNoise, even_timesteps, sigmas_at


class EulerAncestral(SignalPlusNoise):
    """Ancestral sampling with Euler steps (Karras et al. 2022; Crowson's k-diffusion): DiffHarmony's own sampler.

    Equals ``EulerAncestralDiscreteScheduler(beta_schedule="scaled_linear", timestep_spacing="linspace")``. Timesteps
    are fractions.
    """

    def __init__(self, steps: int, start: int = 0) -> None:
        self.timesteps = even_timesteps(steps)[start:]
        self.step_of = tuple(range(steps - start))
        super().__init__(sigmas_at(self.timesteps).tolist())

    def step(self, latent: Floats, noise_prediction: Floats, i: int, noise: Floats) -> Floats:
        """See `Sampler`."""
        sigma, after = self._sigmas[i : i + 2]
        up = after * math.sqrt(1 - (after / sigma) ** 2)
        down = math.sqrt(after**2 - up**2)
        stepped: Floats = latent + np.float32(down - sigma) * noise_prediction + np.float32(up) * noise
        return stepped
