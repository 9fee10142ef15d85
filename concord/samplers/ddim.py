"""Denoising diffusion implicit models."""

import numpy as np

from concord.arrays import Floats
from concord.samplers.schedule import (
    STABLE_DIFFUSION,
    Schedule,
    UnitPower,
    leading_timesteps,
    mixed,
    signal_power,
)


class Ddim(UnitPower):
    """Denoising diffusion implicit models (Song et al. 2020), eta 0; deterministic.

    Equals ``DDIMScheduler(beta_schedule="scaled_linear", steps_offset=1, set_alpha_to_one=False, clip_sample=False)``,
    Stable Diffusion's settings, which other models have with a schedule of their own.
    """

    def __init__(self, steps: int, start: int = 0, *, schedule: Schedule = STABLE_DIFFUSION) -> None:
        timesteps, stride = leading_timesteps(steps)
        timesteps = timesteps[start:]
        self.timesteps = timesteps.astype(np.float32)
        self.step_of = tuple(range(steps - start))
        kept = signal_power(schedule)
        super().__init__([*kept[timesteps], 1.0])
        self._kept_after = kept[np.maximum(timesteps - stride, 0)]

    def step(self, latent: Floats, noise_prediction: Floats, i: int, noise: Floats) -> Floats:
        """See `Sampler`; uses no noise."""
        return mixed(self.estimate(latent, noise_prediction, i), noise_prediction, self._kept_after[i])
