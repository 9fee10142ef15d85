"""Networks that harmonize in one pass: a composite and its mask in, the harmonized picture out."""

from collections.abc import Iterator
from pathlib import Path
from typing import cast

import torch
from torch import Tensor, nn

from concord.scenes.scene import Scene
from concord.squash import SMALL_SIZE, squash_image, squash_mask
from export.network import Feeds, ServedTensor, noise_image

INPUTS = (
    ServedTensor("COMPOSITE", "UINT8", (SMALL_SIZE, SMALL_SIZE, 3)),
    ServedTensor("COMPOSITE_MASK", "UINT8", (SMALL_SIZE, SMALL_SIZE)),
)
OUTPUT = ServedTensor("SMALL_RESULT", "FP32", (3, SMALL_SIZE, SMALL_SIZE))


class ServedHarmonizer(nn.Module):
    """`composite` uint8 RGB [B,S,S,3] and `mask` uint8 [B,S,S] of 0/1 to the harmonized image FP32 [B,3,S,S].

    Values are the network's own before pasting: 0..1 for DHT, possibly below 0 for HT.
    """

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, composite: Tensor, mask: Tensor) -> Tensor:
        image = composite.to(torch.float32).permute(0, 3, 1, 2) / 255
        answer = self.network(image, mask.to(torch.float32)[:, None])
        return answer[0] if isinstance(answer, tuple) else cast(Tensor, answer)


def draw(batch: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """Composites, with masks from a disc to everything: the last of a batch hides the whole background."""
    line = torch.arange(SMALL_SIZE) - SMALL_SIZE / 2
    radius = (line[:, None] ** 2 + line**2).sqrt()
    reach = [60.0 if n == 0 else 2.0 * SMALL_SIZE * (n == batch - 1) for n in range(batch)]
    masks = torch.stack([(radius < r).to(torch.uint8) for r in reach])
    return noise_image(batch, SMALL_SIZE, generator), masks


def seen(scenes: Iterator[Scene], _repository: Path) -> Iterator[Feeds]:
    """A scene's composite, and its mask."""
    for scene in scenes:
        yield {"COMPOSITE": squash_image(scene.composite), "COMPOSITE_MASK": squash_mask(scene.mask)}
