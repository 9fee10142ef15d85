"""IS-Net (ECCV 2022): the subject of a photograph, without being told what it is.

Qin et al., "Highly Accurate Dichotomous Image Segmentation". State-dict compatible with the authors'
`isnet-general-use.pth` and `isnet.pth`. Blocks that are U-Nets themselves, of U2-Net (Qin et al. 2020), form a U-Net.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from concord.scenes.scene import Scene
from concord.squash import squash_image
from concord.subject import SIDE
from export.half_precision import Island
from export.network import Feeds, Network, Quantization, ServedTensor, Serving, noise_image
from export.state_dict import StateDict

STAGES = 6
HEIGHTS = (7, 6, 5, 4, 4, 4)
"""Levels of the U-Net inside a stage; the last two stages have dilated convolutions in place of levels."""
FLAT_FROM = 4
"""The first of those stages, counted from 0."""


@dataclass(frozen=True)
class IsNetConfig:
    """Channels of the stages, outside and inside their blocks, down and up; the defaults are the published ones."""

    stem: int = 64
    widths: tuple[int, ...] = (64, 128, 256, 512, 512, 512)
    inner: tuple[int, ...] = (32, 32, 64, 128, 256, 256)
    widths_up: tuple[int, ...] = (64, 64, 128, 256, 512)
    inner_up: tuple[int, ...] = (16, 32, 64, 128, 256)


class IsNet(nn.Module):
    """Pictures [B,3,S,S] of 0..1 less a half to six maps of probabilities [B,1,S,S], the finest first."""

    def __init__(self, config: IsNetConfig) -> None:
        super().__init__()
        self.conv_in = nn.Conv2d(3, config.stem, 3, 2, 1)
        inputs = (config.stem, *config.widths)
        for number, (width, inner) in enumerate(zip(config.widths, config.inner, strict=True)):
            self.add_module(f"stage{number + 1}", block(number, inputs[number], inner, width))
        below = (*config.widths_up[1:], config.widths[-1])
        for number, (width, inner) in enumerate(zip(config.widths_up, config.inner_up, strict=True)):
            given = below[number] + config.widths[number]
            self.add_module(f"stage{number + 1}d", block(number, given, inner, width))
        for number, width in enumerate((*config.widths_up, config.widths[-1])):
            self.add_module(f"side{number + 1}", nn.Conv2d(width, 1, 3, padding=1))

    def forward(self, image: Tensor) -> tuple[Tensor, ...]:
        sides = (self.get_submodule(f"side{number + 1}")(x) for number, x in enumerate(self.features(image)))
        return tuple(enlarged(side, image).sigmoid() for side in sides)

    def finest(self, image: Tensor) -> Tensor:
        """The first of the maps."""
        return enlarged(self.get_submodule("side1")(self.features(image)[0]), image).sigmoid()

    def features(self, image: Tensor) -> list[Tensor]:
        """What each of the maps is made of, the finest first."""
        x, down = self.conv_in(image), []
        for number in range(STAGES):
            x = self.get_submodule(f"stage{number + 1}")(pooled(x) if number else x)
            down.append(x)
        found = [x]
        for number in reversed(range(STAGES - 1)):
            x = self.get_submodule(f"stage{number + 1}d")(torch.cat((enlarged(x, down[number]), down[number]), 1))
            found.append(x)
        return found[::-1]


def block(number: int, inputs: int, inner: int, outputs: int) -> nn.Module:
    """The block of a stage, counted from 0."""
    return Block(HEIGHTS[number], inputs, inner, outputs, flat=number >= FLAT_FROM)


class Block(nn.Module):
    """A U-Net whose answer is added to its input; a flat one dilates its convolutions instead of changing its size."""

    def __init__(self, height: int, inputs: int, inner: int, outputs: int, flat: bool) -> None:
        super().__init__()
        self.height, self.flat = height, flat
        self.rebnconvin = ConvUnit(inputs, outputs)
        for level in range(1, height + 1):
            dilation = 2 ** (level - 1) if flat else 1 + (level == height)
            self.add_module(f"rebnconv{level}", ConvUnit(outputs if level == 1 else inner, inner, dilation))
        for level in range(1, height):
            dilation = 2 ** (level - 1) if flat else 1
            self.add_module(f"rebnconv{level}d", ConvUnit(2 * inner, outputs if level == 1 else inner, dilation))

    def forward(self, x: Tensor) -> Tensor:
        given = x = self.rebnconvin(x)
        down: list[Tensor] = []
        for level in range(1, self.height + 1):
            # The first and the last level have the size of the one before them.
            smaller = not self.flat and 1 < level < self.height
            x = self.get_submodule(f"rebnconv{level}")(pooled(x) if smaller else x)
            down.append(x)
        for level in reversed(range(1, self.height)):
            beside = down[level - 1]
            same = self.flat or level == self.height - 1
            x = self.get_submodule(f"rebnconv{level}d")(torch.cat((x if same else enlarged(x, beside), beside), 1))
        return cast(Tensor, x + given)


class ConvUnit(nn.Module):
    """Convolution, batch norm, ReLU."""

    def __init__(self, inputs: int, outputs: int, dilation: int = 1) -> None:
        super().__init__()
        self.conv_s1 = nn.Conv2d(inputs, outputs, 3, padding=dilation, dilation=dilation)
        self.bn_s1 = nn.BatchNorm2d(outputs)

    def forward(self, x: Tensor) -> Tensor:
        return F.relu(self.bn_s1(self.conv_s1(x)))


class ServedIsNet(nn.Module):
    """`square` uint8 RGB [B,S,S,3] to probabilities FP32 [B,S,S]."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = cast(IsNet, network)

    def forward(self, square: Tensor) -> Tensor:
        image = square.to(torch.float32).permute(0, 3, 1, 2) / 255 - 0.5
        return self.network.finest(image)[:, 0]


def pooled(x: Tensor) -> Tensor:
    """Half of the side, rounded up."""
    return F.max_pool2d(x, 2, 2, ceil_mode=True)


def enlarged(x: Tensor, like: Tensor) -> Tensor:
    """At the size of another map."""
    return F.interpolate(x, size=like.shape[2:], mode="bilinear", align_corners=False)


def seen(scenes: Iterator[Scene], _repository: Path) -> Iterator[Feeds]:
    """Composites."""
    for scene in scenes:
        yield {"SQUARE": squash_image(scene.composite, SIDE)}


NETWORK = Network(
    name="isnet",
    inputs=(ServedTensor("SQUARE", "UINT8", (SIDE, SIDE, 3)),),
    outputs=(ServedTensor("SUBJECT", "FP32", (SIDE, SIDE)),),
    draw=lambda batch, generator: (noise_image(batch, SIDE, generator),),
    source=StateDict(
        claims=lambda keys: "stage1d.rebnconvin.conv_s1.weight" in keys and "conv_in.weight" in keys,
        published=lambda _weights: IsNetConfig(),
        build=IsNet,
        served=ServedIsNet,
    ),
    published={"isnet": lambda: IsNet(IsNetConfig())},
    golden=("isnet",),
    islands=(Island("probabilities near 0 and 1 are the subject's edge", ("Sigmoid",)),),
    quantization=Quantization("its last layer draws the mask", ends=True, transformer=False),
    seen=seen,
    serving=Serving(batch=1, gpu_batch=4, patience_seconds=120),
)
