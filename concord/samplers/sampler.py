"""What every sampler has."""

from typing import Protocol

from concord.arrays import Floats


class Sampler(Protocol):
    """The arithmetic between two calls of a network that predicts the noise in a latent; it keeps one request's state.

    Latents and predictions are fp32 of one shape, any; ``i`` counts the calls of the network from 0 and goes up by one.

    Attributes:
        timesteps: fp32 [n], what the network is told at each call; not whole numbers for every sampler.
        step_of: the step that each call belongs to, counted from 0; some samplers call the network twice in a step.
        initial_scale: standard deviation of the noise that the first call starts from, where it starts from noise.
    """

    timesteps: Floats
    step_of: tuple[int, ...]
    initial_scale: float

    def scale(self, latent: Floats, i: int) -> Floats:
        """The latent as the network reads it."""

    def estimate(self, latent: Floats, noise_prediction: Floats, i: int) -> Floats:
        """The latent without noise, as far as this call can tell."""

    def step(self, latent: Floats, noise_prediction: Floats, i: int, noise: Floats) -> Floats:
        """The latent of the next call; after the last one, the result.

        Args:
            latent: the current one, not scaled.
            noise_prediction: the network's output for ``scale(latent, i)`` and ``timesteps[i]``.
            noise: standard normal; not every sampler uses it.
        """

    def noised(self, clean: Floats, noise: Floats, i: int) -> Floats:
        """A clean latent with the noise of call ``i``: where an image-to-image loop starts, or what a hook blends in.

        The noise is standard normal; at ``n``, the end, the answer is ``clean``.
        """
