"""Denoising diffusion probabilistic models with a learned variance, on some of the steps of their training."""

from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import NDArray

from concord.arrays import Floats
from concord.samplers.schedule import TRAINING_STEPS, mixed

_FIRST, _LAST = 1e-4, 2e-2  # betas, linear between
Row = NDArray[np.float64]


@dataclass(frozen=True)
class Respaced:
    """The constants of a way of so many steps, one a step, the one next to the picture first.

    Attributes:
        timesteps: those of training, whole numbers, that the steps are.
        kept: the share of the signal's power that is left at a step.
        log_least, log_most: logarithms of the least and the largest variance of what a step draws.
        clean_share, noisy_share: what of the clean picture and of the noisy one the mean of that is made of.
    """

    timesteps: Row
    kept: Row
    log_least: Row
    log_most: Row
    clean_share: Row
    noisy_share: Row

    @classmethod
    def of(cls, steps: int) -> Self:
        """Spread evenly over training, from its first to its last timestep; ``steps`` from 2 to 1000."""
        timesteps = np.round(np.arange(steps) * ((TRAINING_STEPS - 1) / (steps - 1)))
        kept = np.cumprod(1 - np.linspace(_FIRST, _LAST, TRAINING_STEPS))[timesteps.astype(int)]
        after = np.append(1.0, kept[:-1])
        betas = 1 - kept / after
        least = betas * (1 - after) / (1 - kept)
        least[0] = least[1]  # whose logarithm is not finite: nothing is drawn there
        return cls(
            timesteps,
            kept,
            np.log(least),
            np.log(betas),
            betas * np.sqrt(after) / (1 - kept),
            (1 - after) * np.sqrt(1 - betas) / (1 - kept),
        )


class Ddpm:
    """Ancestral sampling (Ho et al. 2020; Nichol and Dhariwal 2021) from a picture's noisy state on.

    ``i`` counts the calls of the network from 0. Pictures are fp32 of one shape, in about -1..1, and never clipped.

    Args:
        steps: of the whole way, 2 to 1000.
        made: how many of them are made, those next to the picture; at least 1.

    Attributes:
        timesteps: fp32 [made], what the network is told at each call.
        kept: fp32 [made], the share of the signal's power that is left at each call.
    """

    def __init__(self, steps: int, made: int) -> None:
        self._respaced = Respaced.of(steps)
        self._made = made
        self.timesteps = self._respaced.timesteps[:made][::-1].astype(np.float32)
        self.kept = self._respaced.kept[:made][::-1].astype(np.float32)

    def noised(self, clean: Floats, noise: Floats, i: int) -> Floats:
        """A clean picture with the noise of a call; the noise that is given is standard normal."""
        return mixed(clean, noise, self._respaced.kept[self._step(i)])

    def step(
        self, noisy: Floats, clean: Floats, variance: Floats, noise: Floats, i: int, gradient: Floats | None = None
    ) -> Floats:
        """The noisy picture of the next call; after the last one, without noise.

        Args:
            clean: the picture without noise, as the network tells.
            variance: where between its least, at -1, and its largest, at 1, its logarithm lies.
            noise: standard normal.
            gradient: of a loss with respect to ``noisy``; the mean is moved against it.
        """
        row, step = self._respaced, self._step(i)
        share = (variance + 1) / 2
        log_variance = np.float32(row.log_most[step]) * share + np.float32(row.log_least[step]) * (1 - share)
        mean = np.float32(row.clean_share[step]) * clean + np.float32(row.noisy_share[step]) * noisy
        if gradient is not None:
            mean = mean - np.exp(log_variance) * gradient
        return mean + np.exp(log_variance / 2) * noise if step else mean

    def _step(self, i: int) -> int:
        return self._made - 1 - i
