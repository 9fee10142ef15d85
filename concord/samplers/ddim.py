"""Denoising diffusion implicit models."""

import numpy as np

from concord.samplers.sampler import Floats
from concord.samplers.schedule import leading_timesteps, signal_power, with_noise, without_noise


class Ddim:
    """Denoising diffusion implicit models (Song et al. 2020), eta 0; deterministic.

    Equals ``DDIMScheduler(beta_schedule="scaled_linear", steps_offset=1, set_alpha_to_one=False, clip_sample=False)``,
    Stable Diffusion's settings.
    """

    initial_scale = 1.0

    def __init__(self, steps: int, start: int = 0) -> None:
        timesteps, stride = leading_timesteps(steps)
        timesteps = timesteps[start:]
        self.timesteps = timesteps.astype(np.float32)
        self.step_of = tuple(range(steps - start))
        kept = signal_power()
        self._kept = np.append(kept[timesteps], 1.0)
        self._kept_after = kept[np.maximum(timesteps - stride, 0)]

    def scale(self, latent: Floats, i: int) -> Floats:
        """See `Sampler`."""
        return latent

    def estimate(self, latent: Floats, noise_prediction: Floats, i: int) -> Floats:
        """See `Sampler`."""
        return without_noise(latent, noise_prediction, self._kept[i])

    def step(self, latent: Floats, noise_prediction: Floats, i: int, noise: Floats) -> Floats:
        """See `Sampler`; uses no noise."""
        return with_noise(self.estimate(latent, noise_prediction, i), noise_prediction, self._kept_after[i])

    def noised(self, clean: Floats, noise: Floats, i: int) -> Floats:
        """See `Sampler`."""
        return with_noise(clean, noise, self._kept[i])
