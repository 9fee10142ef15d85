"""Heun's method."""

import numpy as np

from concord.arrays import Floats
from concord.samplers.schedule import SignalPlusNoise, even_timesteps, sigmas_at


class Heun(SignalPlusNoise):
    """Heun's method, of second order (Karras et al. 2022, algorithm 1 without churn); deterministic.

    A step goes to the next timestep as Euler's does, calls the network there, and goes again with the mean of both
    predictions; the last step, to no noise at all, has one call only.

    Equals ``HeunDiscreteScheduler(beta_schedule="scaled_linear")``, whose spacing is ``linspace``.
    """

    def __init__(self, steps: int, start: int = 0) -> None:
        timesteps = even_timesteps(steps)[start:]
        # Calls 2k and 2k + 1 belong to step k: one at its own timestep, one at the next.
        self.timesteps = np.repeat(timesteps, 2)[1:]
        self.step_of = tuple(call // 2 for call in range(len(self.timesteps)))
        super().__init__([*np.repeat(sigmas_at(timesteps)[:-1], 2)[1:].tolist(), 0.0])
        self._before: tuple[Floats, Floats] | None = None

    def step(self, latent: Floats, noise_prediction: Floats, i: int, noise: Floats) -> Floats:
        """See `Sampler`; uses no noise."""
        if self._before is None:
            self._before = latent, noise_prediction
            return latent + np.float32(self._sigmas[i + 1] - self._sigmas[i]) * noise_prediction
        latent, first_prediction = self._before
        self._before = None
        mean = np.float32(0.5) * (first_prediction + noise_prediction)
        return latent + np.float32(self._sigmas[i] - self._sigmas[i - 1]) * mean
