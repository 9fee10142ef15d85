"""Samplers of latent diffusion: the steps from noise to a latent, given a network that predicts the noise in it.

Each is a file of its own and equals one of diffusers' schedulers with the settings that its class names.
"""

from collections.abc import Callable

from concord.samplers.ddim import Ddim
from concord.samplers.dpmpp_2m import DpmSolverMultistep
from concord.samplers.euler_ancestral import EulerAncestral
from concord.samplers.heun import Heun
from concord.samplers.plms import Plms
from concord.samplers.sampler import Sampler

SAMPLERS: dict[str, Callable[[int, int], Sampler]] = {
    "euler_ancestral": EulerAncestral,
    "dpmpp_2m": DpmSolverMultistep,
    "ddim": Ddim,
    "heun": Heun,
    "plms": Plms,
}


def make_sampler(name: str, steps: int, start: int = 0) -> Sampler:
    """A sampler for one request.

    Args:
        name: one of `SAMPLERS`.
        steps: 1 or more; of the whole way from noise.
        start: steps to leave out at the beginning, less than ``steps``: the way then starts from an image's latent
            with noise, ``noised(clean, noise, 0)``. Image-to-image leaves out ``steps - int(steps * strength)``.
    """
    return SAMPLERS[name](steps, start)
