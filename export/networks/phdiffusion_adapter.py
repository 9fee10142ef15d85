"""PHDiffusion's adapter: what a UNet is told of a composite, once a picture.

Lu et al., "Painterly Image Harmonization using Diffusion Model" (ACM Multimedia 2023).
"""

from dataclasses import dataclass, replace
from functools import partial
from typing import cast

import torch
import torch.nn.functional as F
from torch import Generator, Tensor, nn

from concord.repository.profiles import EXACT
from concord.squash import LATENT_STRIDE
from export.network import BATCH, Network, ServedTensor
from export.networks.latent_diffusion import (
    COMPOSITE,
    COMPOSITE_MASK,
    HEIGHT,
    ONE_IMAGE,
    WIDTH,
    draw_composite,
    draw_mask,
    signed,
)

WIDTHS = (320, 640, 1280, 1280)  # as published; of narrower adapters the features end in zeros
FEATURES = tuple(
    ServedTensor(f"FEATURE_{level}", "FP32", (width, -1, -1), stride=LATENT_STRIDE << level)
    for level, width in enumerate(WIDTHS)
)
UNIT = 2 * LATENT_STRIDE << (len(WIDTHS) - 1)  # pixels, of which the sides of a square are multiples


@dataclass(frozen=True)
class AdapterConfig:
    """Sizes, the defaults as published; and whether its blocks add what they read, which no key of a file tells."""

    residual: bool
    widths: tuple[int, ...] = WIDTHS
    layers: int = 2


class AdapterBlock(nn.Module):
    """[B,C,h,w] to [B,O,h,w], or half as high and wide."""

    def __init__(self, inputs: int, outputs: int, is_halved: bool, residual: bool) -> None:
        super().__init__()
        self.is_halved, self.residual = is_halved, residual
        self.in_conv = nn.Identity() if inputs == outputs else nn.Conv2d(inputs, outputs, 1)
        self.block1 = nn.Conv2d(outputs, outputs, 3, padding=1)
        self.block2 = nn.Conv2d(outputs, outputs, 1)

    def forward(self, x: Tensor) -> Tensor:
        x = self.in_conv(F.avg_pool2d(x, 2) if self.is_halved else x)
        h = self.block2(F.relu(self.block1(x)))
        return cast(Tensor, h + x) if self.residual else cast(Tensor, h)


class Adapter(nn.Module):
    """A composite in -1..1 and its mask, [B,4,S,S] together, to the features [B,C,S/8,S/8], [B,C,S/16,S/16], ...

    The keys are those of a checkpoint's `ad`.
    """

    def __init__(self, config: AdapterConfig) -> None:
        super().__init__()
        self.layers = config.layers
        self.body = nn.ModuleList()
        before = config.widths[0]
        for level, width in enumerate(config.widths):
            for number in range(config.layers):
                self.body.append(AdapterBlock(before, width, bool(level) and not number, config.residual))
                before = width
        self.conv_in = nn.Conv2d(4 * LATENT_STRIDE**2, config.widths[0], 3, padding=1)

    def forward(self, x: Tensor) -> tuple[Tensor, ...]:
        x = self.conv_in(F.pixel_unshuffle(x, LATENT_STRIDE))
        features = []
        for number, block in enumerate(self.body):
            x = block(x)
            if number % self.layers == self.layers - 1:
                features.append(x)
        return tuple(features)


class ServedAdapter(nn.Module):
    """`composite` uint8 RGB [B,S,S,3] and `mask` uint8 [B,S,S] of 0 and 1 to the features, as wide as the published."""

    def __init__(self, adapter: Adapter) -> None:
        super().__init__()
        self.adapter = adapter

    def forward(self, composite: Tensor, mask: Tensor) -> tuple[Tensor, ...]:
        features = self.adapter(torch.cat((signed(composite), mask[:, None].to(torch.float32)), 1))
        missing = (wanted - found.shape[1] for wanted, found in zip(WIDTHS, features, strict=True))
        return tuple(
            F.pad(each, (0, 0, 0, 0, 0, more)) if more else each for each, more in zip(features, missing, strict=True)
        )


def draw(batch: int, generator: Generator) -> tuple[Tensor, ...]:
    """Composites and masks, of sides that are multiples of `UNIT`."""
    drawn = draw_composite(batch, generator), draw_mask(batch, generator)
    return tuple(each.repeat_interleave(2, 1).repeat_interleave(2, 2) for each in drawn)


SIDES = {0: BATCH, 1: UNIT * HEIGHT, 2: UNIT * WIDTH}

NETWORK = Network(
    name="phdiffusion_adapter",
    inputs=(COMPOSITE, COMPOSITE_MASK),
    outputs=FEATURES,
    draw=draw,
    axes=(SIDES, SIDES),
    published={
        "phdiffusion_adapter_withres": partial(Adapter, AdapterConfig(residual=True)),
        "phdiffusion_adapter_nores": partial(Adapter, AdapterConfig(residual=False)),
    },
    golden=("phdiffusion_adapter_withres", "phdiffusion_adapter_nores"),
    serving=replace(ONE_IMAGE, profiles=EXACT),
)
