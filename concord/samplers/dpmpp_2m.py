"""DPM-Solver++ of second order."""

import numpy as np

from concord.arrays import Floats
from concord.samplers.schedule import TRAINING_STEPS, UnitPower, sigmas_at


class DpmSolverMultistep(UnitPower):
    """DPM-Solver++ of second order, multistep (Lu et al. 2022, algorithm 2, midpoint form); deterministic.

    Equals ``DPMSolverMultistepScheduler(beta_schedule="scaled_linear")``: its defaults are ``dpmsolver++``, order 2,
    ``midpoint``, ``linspace`` spacing, ``lower_order_final`` and a last sigma of zero.
    """

    def __init__(self, steps: int, start: int = 0) -> None:
        timesteps = np.linspace(0, TRAINING_STEPS - 1, steps + 1).round()[:0:-1].astype(np.float32)
        self.timesteps = timesteps[start:]
        self.step_of = tuple(range(steps - start))
        self._sigmas = sigmas_at(self.timesteps)
        super().__init__([1 / (sigma**2 + 1) for sigma in self._sigmas])
        self._before: Floats | None = None

    def step(self, latent: Floats, noise_prediction: Floats, i: int, noise: Floats) -> Floats:
        """See `Sampler`; uses no noise."""
        sigma, after = self._sigmas[i], self._sigmas[i + 1]
        signal, signal_after = np.sqrt(self._kept[i]), np.sqrt(self._kept[i + 1])
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
