"""Training a small DiffIR to fill holes in scenes and photographs."""

from pathlib import Path
from typing import Any, cast

import numpy as np
import torch
from torch import Tensor, nn

from concord.loops.diffir import PRIOR
from concord.scenes.holes import make_hole
from demo import sizes
from demo.tasks import WEIGHTS, Batch, Task
from demo.tasks.harmonizer import drawn
from export.networks.diffir import ALIASES, DiffIRNet, ServedDiffIR, own
from export.networks.dirformer import Led

PHOTOGRAPHS = 0.3  # share of photographs
SMALL = 0.1  # factor of initial random weights beside constants
AROUND = 0.1  # weight of the error outside the hole, where nothing of the answer is used


class Inpainter(Task):
    """Squared and absolute error of the picture, mainly in the hole.

    The published recipe trains the prior on pictures without a hole first, and the diffusion to find it. Here both are
    trained at once, through the diffusion's few steps, as its second stage ends.
    """

    output = WEIGHTS / "diffir.safetensors"
    config = sizes.DIFFIR

    def build(self, size: int) -> nn.Module:
        self.generator = torch.Generator().manual_seed(size)
        network = DiffIRNet(sizes.DIFFIR)
        begin(network)
        return ServedDiffIR(network).to(memory_format=torch.channels_last)  # faster in BF16

    @staticmethod
    def batch(size: int, count: int, seed: tuple[int, ...]) -> Batch:
        """Pictures and holes."""
        rng = np.random.default_rng(seed)
        _, _, truths = drawn(rng, size, count, PHOTOGRAPHS)
        return truths, np.stack([make_hole(rng, (size, size)) // 255 for _ in truths])

    def loss(self, module: nn.Module, batch: Batch) -> Tensor:
        pictures, holes = (torch.from_numpy(array) for array in batch)
        noise = torch.randn(len(pictures), PRIOR, generator=self.generator)
        error = module(pictures, holes, noise) - pictures.permute(0, 3, 1, 2) / 255
        weight = holes[:, None] + AROUND * (1 - holes[:, None])
        share = weight / weight.sum((1, 2, 3), keepdim=True)
        return cast(Tensor, ((error.abs() + 10 * error.square()) * share).sum((1, 2, 3)).mean())

    def read(self, path: Path) -> dict[str, Tensor]:
        return own(super().read(path))

    def write(self, weights: dict[str, Tensor], path: Path) -> None:
        super().write({key: value for key, value in weights.items() if not key.startswith(tuple(ALIASES))}, path)


@torch.no_grad()
def begin(network: DiffIRNet) -> None:
    """Makes a new network's prior ones, and its blocks scale their features by the prior's mean, and not shift them.

    With small random weights in both, features are a hundredth as large after a block's attention, and nothing is
    learned for long.
    """
    last: Any = network.denoise.resmlp[-1]
    last.resmlp[0].weight *= SMALL
    last.resmlp[0].bias.fill_(1)
    for part in network.G.modules():
        if isinstance(part, Led):
            kernel = cast(nn.Linear, part.kernel[0])
            kernel.weight *= SMALL
            scale, _ = kernel.weight.chunk(2)
            scale += 1 / kernel.in_features
