"""A network of which is measured what it costs, and what it is given."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import nn

from benchmarks.floors import networks as bare
from benchmarks.floors.networks import Feeds
from export.network import Network, ServedTensor

STEP, ONE_PASS = 2.5, 2.0
"""How many times as long as its fastest form PyTorch is to take, at the least: a step of a UNet, and one pass."""


@dataclass(frozen=True)
class Subject:
    """A row. Its functions are given to other processes, so that they are of modules.

    Attributes:
        name: of the row, after the published checkpoint.
        network: of `export.networks.NETWORKS`.
        publish: exports it into a folder, and those that say what it sees.
        eager: builds it in PyTorch.
        classes: whose layers it has there.
        goal: how many times as long as its fastest form PyTorch is to take; None where that is not asked for.
        side: pixels of a square picture, by which the free sides of its inputs are measured.
    """

    name: str
    network: str
    publish: Callable[[Path], None]
    eager: Callable[[], nn.Module]
    classes: str
    goal: float | None = None
    side: int = 512


def sample(model: Network, side: int) -> Feeds:
    """Inputs of batch 1 for a picture of `side` x `side` pixels: noise, or what exports are checked with."""
    generator = np.random.default_rng(0)

    def noise(tensor: ServedTensor) -> NDArray[Any]:
        shape = (1, *tensor.at(side))
        if tensor.kind == "UINT8":
            return generator.integers(0, 256 if tensor.dims[-1] == 3 else 2, shape, np.uint8)
        return generator.standard_normal(shape, np.float32)

    return {**bare.sample(model), **{tensor.name: noise(tensor) for tensor in model.inputs if -1 in tensor.dims}}
