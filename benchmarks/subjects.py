"""The pipelines and networks to measure, from the project's configurations."""

from functools import cache

from concord.instruments.pipelines import networks, steps
from concord.server.declared import catalogue
from concord.server.installation import MODEL_REPOSITORIES
from concord.variants import variants
from concord_client import Harmonize, Pipeline

LIGHT, HEAVY = "ht", "dht"
"""They harmonize in one pass; of the light one there are demo weights."""
END_TO_END = "crisht"
"""Finds what it harmonizes, in one network."""
DIFFUSION = "diffharmony"
"""Harmonizes step by step."""
REFERRING = "diffreharmony"
"""The same, and finds what it harmonizes."""
ROLES = ("encoder", "unet", "decoder")
"""The networks of a diffusion that every request runs."""


@cache
def text_guided(model: str = LIGHT) -> Pipeline:
    """A harmonizer's pipeline that takes a text."""
    return catalogue(MODEL_REPOSITORIES, ()).choose(Harmonize.TASK, model, {"IMAGE", "TEXT"}, streams=False)


def text_guided_networks(model: str = LIGHT) -> tuple[str, ...]:
    """The networks of that pipeline: one that segments, and one that harmonizes."""
    return networks(text_guided(model), variants(MODEL_REPOSITORIES))


@cache
def diffusion() -> Pipeline:
    """The pipeline of `DIFFUSION` that takes a mask."""
    return catalogue(MODEL_REPOSITORIES, ()).choose(Harmonize.TASK, DIFFUSION, {"IMAGE", "MASK"}, streams=True)


@cache
def referring() -> Pipeline:
    """The pipeline of `REFERRING`."""
    return catalogue(MODEL_REPOSITORIES, ()).choose(Harmonize.TASK, REFERRING, {"IMAGE", "TEXT"}, streams=True)


def network(role: str) -> str:
    """A network of the diffusion."""
    return diffusion().parts[role].model


def diffusion_networks() -> tuple[str, ...]:
    """Those that every request runs."""
    return tuple(map(network, ROLES))


def diffusion_steps() -> int:
    """Default number of steps of a request."""
    return steps(diffusion())


def companions() -> tuple[str, ...]:
    """The networks of the diffusion that only some requests run and that change the picture."""
    return tuple(map(network, ("harmony_decoder", "refinement")))
