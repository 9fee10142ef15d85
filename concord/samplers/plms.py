"""Pseudo linear multistep."""

import numpy as np

from concord.arrays import Floats
from concord.samplers.schedule import UnitPower, leading_timesteps, signal_power

# Adams and Bashforth's weights of the latest predictions, the newest first.
_WEIGHTS = (
    (1.0,),
    (3 / 2, -1 / 2),
    (23 / 12, -16 / 12, 5 / 12),
    (55 / 24, -59 / 24, 37 / 24, -9 / 24),
)


class Plms(UnitPower):
    """Pseudo linear multistep (Liu et al. 2022, PNDM without Runge-Kutta steps); deterministic.

    The first step is made twice: along the first prediction, then along the mean of it and the one at its end.

    Equals ``PNDMScheduler(beta_schedule="scaled_linear", skip_prk_steps=True, set_alpha_to_one=False,
    steps_offset=1)``, Stable Diffusion's settings, at every number of steps and from every ``start``. That scheduler
    repeats its second timestep, for the second call. Where a ``start`` cuts the repetition off, the calls after the
    second are told a timestep one stride below their latent's noise, as published.
    """

    def __init__(self, steps: int, start: int = 0) -> None:
        timesteps, stride = leading_timesteps(steps)
        timesteps = np.insert(timesteps, 1, timesteps[1:2])[start:]
        before, after = timesteps.copy(), timesteps - stride
        # The second call makes the first step again.
        before[1:2], after[1:2] = timesteps[1:2] + stride, timesteps[1:2]
        kept = signal_power()
        self.timesteps = timesteps.astype(np.float32)
        self.step_of = tuple(max(call - 1, 0) for call in range(len(timesteps)))
        super().__init__([*kept[timesteps], 1.0])
        self._kept_before = kept[before]
        self._kept_after = kept[np.maximum(after, 0)]
        self._predictions: list[Floats] = []
        self._first: Floats | None = None

    def step(self, latent: Floats, noise_prediction: Floats, i: int, noise: Floats) -> Floats:
        """See `Sampler`; uses no noise."""
        if self._first is not None:
            latent, self._first = self._first, None
            direction = np.float32(0.5) * (noise_prediction + self._predictions[0])
        else:
            self._first = latent if i == 0 else None
            self._predictions = [noise_prediction, *self._predictions[:3]]
            weights = np.array(_WEIGHTS[len(self._predictions) - 1], np.float32)
            direction = np.einsum("i,i...->...", weights, np.stack(self._predictions))
        before, after = self._kept_before[i], self._kept_after[i]
        # Formula 9 of the paper.
        moved = (after - before) / (before * np.sqrt(1 - after) + np.sqrt(before * (1 - before) * after))
        return np.float32(np.sqrt(after / before)) * latent - np.float32(moved) * direction
