"""Training a small DiffIR to fill holes in scenes and photographs."""

from pathlib import Path
from typing import Any, cast

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from concord.arrays import Pixels
from concord.loops.diffir import PRIOR
from concord.scenes.holes import make_hole
from demo import sizes
from demo.tasks import WEIGHTS, Batch, Task
from demo.tasks.harmonizer import drawn
from export.networks.diffir import ALIASES, DiffIRNet, ServedDiffIR, own
from export.networks.dirformer import Led

PHOTOGRAPHS = 0.1  # share of photographs
VIEWS = 4  # of each picture in a batch: to draw it takes as long as to learn from it
SMALL = 0.1  # factor of initial random weights beside constants
SMOOTHED = 4  # times that a membrane is smoothed at each size
AROUND = 0.01  # weight of the error outside the hole, of which the answer has only what the membrane makes of it
ABSOLUTE, SQUARED = 0.1, 10.0  # weights of both errors


class Inpainter(Task):
    """Squared and absolute error of what is served, mainly in the hole: after the membrane of the pipeline.

    The published recipe trains the prior on pictures without a hole first, and the diffusion to find it. Here both are
    trained at once, through the diffusion's few steps, as its second stage ends.
    """

    output = WEIGHTS / "diffir.safetensors"
    config = sizes.DIFFIR
    in_half = False  # most of its work is of one channel at a time
    slow = ("condition.", "denoise.", ".kernel.")  # the prior scales all features of all blocks

    def build(self, size: int) -> nn.Module:
        self.generator = torch.Generator().manual_seed(size)
        network = DiffIRNet(sizes.DIFFIR)
        begin(network)
        return ServedDiffIR(network).to(memory_format=torch.channels_last)  # faster

    @staticmethod
    def batch(size: int, count: int, seed: tuple[int, ...]) -> Batch:
        """Pictures and holes: of every picture several views, each turned, in other colours, and with its own hole."""
        rng = np.random.default_rng(seed)
        _, _, truths = drawn(rng, size, -(-count // VIEWS), PHOTOGRAPHS)
        pictures = np.stack([view(rng, truths[number // VIEWS]) for number in range(count)])
        return pictures, np.stack([make_hole(rng, (size, size)) // 255 for _ in pictures])

    def loss(self, module: nn.Module, batch: Batch) -> Tensor:
        pictures, holes = (torch.from_numpy(array) for array in batch)
        noise = torch.randn(len(pictures), PRIOR, generator=self.generator)
        hole = holes[:, None].float()
        difference = pictures.permute(0, 3, 1, 2) / 255 - module(pictures, holes, noise)
        error = difference - hole * membrane(difference, hole)
        weight = hole + AROUND * (1 - hole)
        share = weight / weight.sum((1, 2, 3), keepdim=True)
        return cast(Tensor, ((ABSOLUTE * error.abs() + SQUARED * error.square()) * share).sum((1, 2, 3)).mean())

    def read(self, path: Path) -> dict[str, Tensor]:
        return own(super().read(path))

    def write(self, weights: dict[str, Tensor], path: Path) -> None:
        super().write({key: value for key, value in weights.items() if not key.startswith(tuple(ALIASES))}, path)


def view(rng: np.random.Generator, picture: Pixels) -> Pixels:
    """A square picture [S, S, 3], turned and mirrored, and with its colours exchanged for each other."""
    turned = np.rot90(picture, int(rng.integers(4)))[:, :: 1 - 2 * int(rng.integers(2))]
    return np.ascontiguousarray(turned[..., rng.permutation(3)])


def membrane(values: Tensor, hole: Tensor) -> Tensor:
    """`concord.membrane` of [B,C,S,S] over holes [B,1,S,S] of 0 and 1, so that gradients pass; S is a power of 2."""
    known = 1 - hole
    return spanned(values * known, known)


def spanned(values: Tensor, known: Tensor) -> Tensor:
    """Values that were multiplied by the share of each pixel that is known, with the pixels of which nothing is."""
    mean = values / known.clamp(min=1e-6)
    if min(known.shape[2:]) == 1:
        return mean
    wide = spanned(F.avg_pool2d(values, 2), F.avg_pool2d(known, 2))
    filled = F.interpolate(wide, scale_factor=2, mode="bilinear")
    unknown = known <= 0
    filled = torch.where(unknown, filled, mean)
    for _ in range(SMOOTHED):
        edged = F.pad(filled, (1, 1, 1, 1), "replicate")
        around = edged[..., :-2, 1:-1] + edged[..., 2:, 1:-1] + edged[..., 1:-1, :-2] + edged[..., 1:-1, 2:]
        filled = torch.where(unknown, around / 4, filled)
    return filled


@torch.no_grad()
def begin(network: DiffIRNet) -> None:
    """Makes a new network's prior ones, and its blocks scale their features by the prior's mean, and not shift them.

    With small random weights in both, features are a hundredth as large after a block's attention, and nothing is
    learned for long. What is drawn is nearly nothing, so that it begins as the membrane alone.
    """
    network.G.output.weight *= SMALL
    last: Any = network.denoise.resmlp[-1]
    last.resmlp[0].weight *= SMALL
    last.resmlp[0].bias.fill_(1)
    for part in network.G.modules():
        if isinstance(part, Led):
            kernel = cast(nn.Linear, part.kernel[0])
            kernel.weight *= SMALL
            scale, _ = kernel.weight.chunk(2)
            scale += 1 / kernel.in_features
