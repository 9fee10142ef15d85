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
    """Denoising diffusion implicit models (Song et al. 2020).

    Equals ``DDIMScheduler(beta_schedule="scaled_linear", steps_offset=1, set_alpha_to_one=False, clip_sample=False)``,
    Stable Diffusion's settings, which other models have with a schedule of their own.

    Args:
        eta: the paper's: 0 is deterministic, 1 draws as much noise at each step as the original process does.
    """

    def __init__(self, steps: int, start: int = 0, *, schedule: Schedule = STABLE_DIFFUSION, eta: float = 0.0) -> None:
        timesteps, stride = leading_timesteps(steps)
        timesteps = timesteps[start:]
        self.timesteps = timesteps.astype(np.float32)
        self.step_of = tuple(range(steps - start))
        kept = signal_power(schedule)
        super().__init__([*kept[timesteps], 1.0])
        before, after = kept[timesteps], kept[np.maximum(timesteps - stride, 0)]
        self._kept_after = after
        # Formula 16 of the paper: the power of the noise that is drawn anew, out of that which is left.
        self._fresh = eta**2 * (1 - after) / (1 - before) * (1 - before / after)

    def step(self, latent: Floats, noise_prediction: Floats, i: int, noise: Floats) -> Floats:
        """See `Sampler`; uses the noise where ``eta`` is not 0."""
        estimate, after, fresh = self.estimate(latent, noise_prediction, i), self._kept_after[i], self._fresh[i]
        if not fresh:
            return mixed(estimate, noise_prediction, after)
        old = np.float32(np.sqrt(1 - after - fresh)) * noise_prediction
        stepped: Floats = np.float32(np.sqrt(after)) * estimate + old + np.float32(np.sqrt(fresh)) * noise
        return stepped
