"""Training tasks of the demo networks: batches, loss, and the format of the weights."""

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any, Protocol

from numpy.typing import NDArray
from safetensors.torch import save_file
from torch import Tensor, nn

Batch = tuple[NDArray[Any], ...]
WEIGHTS = Path(__file__).parents[1] / "weights"


class Task(Protocol):
    """A network to train, and its training data and loss.

    output: where its weights are written: a file, or a folder in diffusers' layout.
    """

    output: Path

    def build(self, size: int) -> nn.Module:
        """A module for pictures of `size` x `size`; its attribute `network` has the weights."""

    @staticmethod
    def batch(size: int, count: int, seed: tuple[int, ...]) -> Batch:
        """Samples as arrays, computed from the arguments alone; called in another process."""

    def loss(self, module: nn.Module, batch: Batch) -> Tensor:
        """The loss of one batch, a scalar."""

    def read(self, path: Path) -> dict[str, Tensor]:
        """Reads weights to continue from, FP32."""

    def write(self, weights: dict[str, Tensor], path: Path) -> None:
        """Writes weights, matrices in half precision."""


def write_safetensors(weights: dict[str, Tensor], config: Any, path: Path) -> None:
    """Writes one safetensors file with the network's sizes as metadata; matrices in half precision, vectors in full."""
    path.parent.mkdir(parents=True, exist_ok=True)
    half = {key: value.half() if value.ndim > 1 else value for key, value in weights.items()}
    temporary = path.with_suffix(".partial")
    save_file(
        {key: value.contiguous() for key, value in half.items()}, temporary, {"config": json.dumps(asdict(config))}
    )
    temporary.replace(path)
