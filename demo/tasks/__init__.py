"""Training tasks of the demo networks: batches, loss, and the format of the weights."""

import json
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

Batch = tuple[NDArray[Any], ...]
WEIGHTS = Path(__file__).parents[1] / "weights"


class Task(ABC):
    """A network to train, and its training data and loss.

    output: where its weights are written: a file, or a folder in diffusers' layout.
    config: the network's sizes, a dataclass, where its weights are a safetensors file.
    in_half: whether BF16 makes its training faster where the processor has it.
    slow: parts of the names of parameters that learn at a tenth of the rate.
    """

    output: Path
    config: Any
    in_half: ClassVar[bool] = True
    slow: ClassVar[tuple[str, ...]] = ()

    @abstractmethod
    def build(self, size: int) -> nn.Module:
        """A module for pictures of `size` x `size`; its attribute `network` has the weights."""

    @staticmethod
    @abstractmethod
    def batch(size: int, count: int, seed: tuple[int, ...]) -> Batch:
        """Samples as arrays, computed from the arguments alone; called in another process."""

    @abstractmethod
    def loss(self, module: nn.Module, batch: Batch) -> Tensor:
        """The loss of one batch, a scalar."""

    def read(self, path: Path) -> dict[str, Tensor]:
        """Reads weights to continue from, FP32."""
        return {key: value.float() for key, value in load_file(path).items()}

    def write(self, weights: dict[str, Tensor], path: Path) -> None:
        """Writes weights with the network's sizes as metadata; matrices in half precision, vectors in full."""
        path.parent.mkdir(parents=True, exist_ok=True)
        half = {key: (value.half() if value.ndim > 1 else value).contiguous() for key, value in weights.items()}
        temporary = path.with_suffix(".partial")
        save_file(half, temporary, {"config": json.dumps(asdict(self.config))})
        temporary.replace(path)


def stacked(samples: Sequence[Any]) -> Batch:
    """Composites [B, H, W, 3], masks [B, H, W] and truths of scenes or photographs."""
    return tuple(np.stack([getattr(each, name) for each in samples]) for name in ("composite", "mask", "truth"))
