"""What each served network takes and answers, and inputs to check an export with."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, TypeAlias

import torch
import torch.nn.functional as F
from torch import Tensor

from concord.letterbox import CRIS_SIZE
from concord.squash import SMALL_SIZE
from concord.tokenizer import CONTEXT_LENGTH

BATCHES = (1, 2, 3)  # sizes an export is checked at; it is traced at 2
BATCH = torch.export.Dim("batch", min=1, max=63)  # from 64 on diffusers' upsampling goes another way
Axes: TypeAlias = tuple[dict[int, Any], ...]  # one an input: dynamic axis to its torch.export.Dim, or a multiple of one


@dataclass(frozen=True)
class ServedModel:
    """A model of the repository: its name and the tensor names of its ONNX graph and of its `config.pbtxt`.

    `tolerance` is on the largest absolute difference to the torch network, for answers of magnitude 1; it grows with
    the answer's magnitude. `make` draws inputs of a batch size.
    """

    name: str
    inputs: tuple[str, ...]
    output: str
    tolerance: float
    make: Callable[[int, torch.Generator], tuple[Tensor, ...]]
    axes: Axes | None = None  # dynamic axes; without it, the first one of each input

    def samples(self) -> Iterator[tuple[Tensor, ...]]:
        """Inputs of every batch size in `BATCHES`, the same ones each time."""
        generator = torch.Generator().manual_seed(1)
        for batch in BATCHES:
            yield self.make(batch, generator)


def image(batch: int, size: int, generator: torch.Generator) -> Tensor:
    """uint8 [batch, size, size, 3]: coarse and fine random structure."""
    coarse = F.interpolate(torch.rand(batch, 3, 7, 7, generator=generator), size=(size, size), mode="bicubic")
    fine = torch.rand(batch, 3, size, size, generator=generator)
    return ((0.8 * coarse + 0.2 * fine).clamp(0, 1) * 255).to(torch.uint8).permute(0, 2, 3, 1).contiguous()


def cris_inputs(batch: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """Images, and token rows of every length from one word to the full context."""
    tokens = torch.zeros(batch, CONTEXT_LENGTH, dtype=torch.int64)
    for n, row in enumerate(tokens):
        words = 1 + (7 * n) % (CONTEXT_LENGTH - 2)
        row[0] = 49406
        row[1 : 1 + words] = torch.randint(1, 49406, (words,), generator=generator)
        row[1 + words] = 49407
    return image(batch, CRIS_SIZE, generator), tokens


def dht_inputs(batch: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """Composites, with masks from a disc to everything: the last of a batch hides the whole background."""
    line = torch.arange(SMALL_SIZE) - SMALL_SIZE / 2
    radius = (line[:, None] ** 2 + line**2).sqrt()
    reach = [60.0 if n == 0 else 2.0 * SMALL_SIZE * (n == batch - 1) for n in range(batch)]
    masks = torch.stack([(radius < r).to(torch.uint8) for r in reach])
    return image(batch, SMALL_SIZE, generator), masks


CRIS = ServedModel("cris", ("CRIS_IMAGE", "TOKENS"), "LOGITS", 1e-4, cris_inputs)
DHT = ServedModel("dht", ("COMPOSITE", "COMPOSITE_MASK"), "SMALL_RESULT", 1e-4, dht_inputs)
