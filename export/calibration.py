"""Inputs that a network sees in service: what its INT8 form is calibrated on, and held out, what it is judged on."""

from collections.abc import Iterator, Mapping
from itertools import count, islice
from pathlib import Path

import numpy as np

from concord.scenes.photographs import HELD_OUT_FROM
from concord.scenes.scene import Scene, make_scene
from export.engine_profiles import EngineError, fits, written
from export.network import Feeds
from export.networks import declared

LEAST = 8
TRAINING_FROM = 500_000


def scenes(held_out: bool) -> Iterator[Scene]:
    """Generated scenes without end."""
    return map(make_scene, count(HELD_OUT_FROM if held_out else TRAINING_FROM))


def feeds(model: str, repository: Path, number: int, held_out: bool = False) -> list[Feeds]:
    """So many inputs of a network that declares what it sees, batch 1, made as the pipelines make them.

    Raises:
        EngineError: the repository lacks one of the networks that run before it.
    """
    seen = declared(model).seen
    assert seen is not None
    samples = islice(seen(scenes(held_out), repository), number)
    return [{name: value[np.newaxis] for name, value in sample.items()} for sample in samples]


def read(path: Path, inputs: Mapping[str, tuple[int, ...]]) -> list[Feeds]:
    """Inputs from an `.npz` file: an array [N, ...] for each, of shapes in which -1 is any size, batch first.

    Raises:
        EngineError: the file cannot be read, or does not hold at least `LEAST` samples of every input's shape.
    """
    try:
        with path.open("rb") as stream, np.load(stream, allow_pickle=False) as file:
            arrays = {name: file[name] for name in file.files}
    except (OSError, ValueError) as error:
        raise EngineError(f"{path}: not a file of arrays ({error})") from error
    if arrays.keys() != inputs.keys():
        raise EngineError(f"{path}: has the inputs {sorted(arrays)}, the network has {sorted(inputs)}")
    for name, array in arrays.items():
        shape = inputs[name]
        if array.ndim != len(shape) or not all(map(fits, array.shape[1:], shape[1:])):
            raise EngineError(f"{path}: {name} is {written(array.shape)}, the network takes {written(shape)}")
    numbers = {name: len(array) for name, array in arrays.items()}
    if len(set(numbers.values())) > 1 or min(numbers.values()) < LEAST:
        raise EngineError(f"{path}: has {numbers} samples; at least {LEAST} are needed, of every input as many")
    return [{name: array[n : n + 1] for name, array in arrays.items()} for n in range(min(numbers.values()))]
