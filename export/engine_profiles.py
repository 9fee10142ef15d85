"""The shapes an engine takes: for every input the least, the one to be fastest at, and the largest."""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from export.errors import ExportError
from export.network import SIDES, ServedTensor


class EngineError(ExportError):
    """An engine cannot be built."""


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
    """The input's name and the shapes of INPUT:MIN,OPT,MAX; EngineError where it is written in another way."""
    name, _, shapes = text.rpartition(":")
    if not name or not re.fullmatch(r"\d+(x\d+)*(,\d+(x\d+)*){2}", shapes):
        raise EngineError(f"--profile {text}: is not INPUT:MIN,OPT,MAX, with shapes such as 1x4x32x32")
    return name, Profile(*(tuple(map(int, shape.split("x"))) for shape in shapes.split(",")))


def defaults(inputs: Iterable[ServedTensor], largest_batch: int) -> dict[str, Profile]:
    """For every input a batch of one to the largest, fastest at one.

    Where a size is free, from the least to the largest resolution that is served.
    """
    steps = tuple(zip((1, 1, largest_batch), SIDES, strict=True))
    return {tensor.name: Profile(*((batch, *tensor.at(side)) for batch, side in steps)) for tensor in inputs}


def check(model: str, profiles: Mapping[str, Profile], shapes: Mapping[str, tuple[int, ...]]) -> None:
    """Refuse, with an EngineError, profiles that the network's inputs do not have (in `shapes` -1 is any size)."""
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
