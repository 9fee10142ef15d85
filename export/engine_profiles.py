"""The shapes an engine takes: for every input the least, the one to be fastest at, and the largest."""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from concord.loops.request import RESOLUTIONS
from concord.squash import LATENT_STRIDE

LATENTS = frozenset(("LATENT", "LATENT_MASK", "COMPOSITE_LATENT"))  # their sides are eighths of an image's
SIDES = (min(RESOLUTIONS), 512, max(RESOLUTIONS))  # pixels


class EngineError(Exception):
    """An engine cannot be built; the message is for the person who asked for it, and nothing was replaced."""


@dataclass(frozen=True)
class Profile:
    """Shapes of an input, batch first."""

    least: tuple[int, ...]
    best: tuple[int, ...]
    largest: tuple[int, ...]

    def __str__(self) -> str:
        return ",".join(map(written, (self.least, self.best, self.largest)))


def written(shape: Iterable[int]) -> str:
    """A shape such as 1x4x32x32; -1 is any size."""
    return "x".join(map(str, shape))


def read(text: str) -> tuple[str, Profile]:
    """The input's name and the shapes of INPUT:MIN,OPT,MAX.

    Raises:
        EngineError: it is written in another way.
    """
    name, _, shapes = text.rpartition(":")
    if not name or not re.fullmatch(r"\d+(x\d+)*(,\d+(x\d+)*){2}", shapes):
        raise EngineError(f"--profile {text}: is not INPUT:MIN,OPT,MAX, with shapes such as 1x4x32x32")
    return name, Profile(*(tuple(map(int, shape.split("x"))) for shape in shapes.split(",")))


def defaults(config: Any) -> dict[str, Profile]:
    """For every input of a Triton `ModelConfig`: a batch of one to the largest that Triton makes, fastest at one.

    Where a size is free, from the least to the largest resolution that is served.
    """

    def shape(tensor: Any, batch: int, side: int) -> tuple[int, ...]:
        side = side // LATENT_STRIDE if tensor.name in LATENTS else side
        return (batch, *(side if size == -1 else size for size in tensor.dims))

    steps = tuple(zip((1, 1, config.max_batch_size), SIDES, strict=True))
    return {tensor.name: Profile(*(shape(tensor, *step) for step in steps)) for tensor in config.input}


def check(model: str, profiles: Mapping[str, Profile], shapes: Mapping[str, tuple[int, ...]]) -> None:
    """Refuse profiles that the network's inputs do not have (in `shapes` -1 is any size).

    Raises:
        EngineError: names the input.
    """
    for name, profile in profiles.items():
        if name not in shapes:
            raise EngineError(f"--profile {name}: {model} has no such input; it has {', '.join(shapes)}")
        allowed = shapes[name]
        for given in (profile.least, profile.best, profile.largest):
            if len(given) != len(allowed) or not all(map(fits, given, allowed)):
                raise EngineError(f"--profile {name}: {written(given)} is outside {model}'s {written(allowed)}")
        if not all(a <= b <= c for a, b, c in zip(profile.least, profile.best, profile.largest, strict=True)):
            raise EngineError(f"--profile {name}: {profile} does not grow from MIN over OPT to MAX")


def fits(size: int, allowed: int) -> bool:
    return size == allowed or (allowed == -1 and size > 0)
