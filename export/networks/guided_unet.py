"""Guided diffusion's UNet without classes: the noise in a picture, and how sure it is of it.

Dhariwal and Nichol, "Diffusion Models Beat GANs on Image Synthesis" (2021). State-dict compatible with the authors'
`256x256_diffusion_uncond.pt`.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from itertools import count, takewhile
from typing import cast

import torch.nn.functional as F
from torch import Tensor, nn

from export.networks.compvis_unet import ResidualBlock, Unet
from export.networks.ldm_unet import AttentionBlock

CHANNELS = 3
_LAYERS = 2
_LEVEL = "input_blocks.{}.0.out_layers.3.weight"
_MARKS = ("time_embed.0.weight", "input_blocks.0.0.weight", "input_blocks.3.0.in_layers.2.weight", "out.2.weight")
_CLASSES = "label_emb.weight"


@dataclass(frozen=True)
class GuidedUnetConfig:
    """Sizes; the defaults are the published ones. Levels from `attending` on, of which the finest is 0, attend."""

    channels_in: int = CHANNELS
    channels_out: int = 2 * CHANNELS
    widths: tuple[int, ...] = (256, 256, 512, 512, 1024, 1024)
    layers: int = _LAYERS
    attending: int = 3
    head_width: int = 64


class GuidedBlock(ResidualBlock):
    """A residual block that is told of the time by a scale and a shift, and can halve or double the sides of its map.

    Both branches are resampled, ahead of the convolution: by the mean of two by two pixels, or by repetition.
    """

    def __init__(self, inputs: int, outputs: int, time: int, factor: float = 1) -> None:
        super().__init__(inputs, outputs, time)
        self.emb_layers[1] = nn.Linear(time, 2 * outputs)
        self.factor = factor

    def forward(self, x: Tensor, time: Tensor) -> Tensor:
        first, activation, convolution = self.in_layers
        h = convolution(self._resampled(activation(first(x))))
        scale, shift = self.emb_layers(time)[:, :, None, None].chunk(2, 1)
        second, *rest = self.out_layers
        h = second(h) * (1 + scale) + shift
        for layer in rest:
            h = layer(h)
        return cast(Tensor, self.skip_connection(self._resampled(x)) + h)

    def _resampled(self, x: Tensor) -> Tensor:
        if self.factor < 1:
            return F.avg_pool2d(x, 2)
        if self.factor > 1:  # torch's own upsampling fixes the batch of a graph that its gradient is traced into
            return x[:, :, :, None, :, None].expand(-1, -1, -1, 2, -1, 2).flatten(4, 5).flatten(2, 3)
        return x


class GuidedUnet(Unet):
    """Pictures [B,3,S,S] at timesteps FP32 [B] to [B,6,S,S]: their noise, then where its variance lies.

    S is a multiple of 32. The variance is a share in -1..1 of the way between its least and its largest possible one.
    """

    def __init__(self, config: GuidedUnetConfig) -> None:
        self.config = config
        super().__init__(config)

    def residual(self, inputs: int, outputs: int, time: int) -> ResidualBlock:
        return GuidedBlock(inputs, outputs, time)

    def attends(self, level: int, coarsest: int) -> bool:
        return level >= self.config.attending

    def attention(self, width: int) -> nn.Module:
        return AttentionBlock(width, width // self.config.head_width)

    def smaller(self, width: int, time: int) -> nn.Module:
        return GuidedBlock(width, width, time, 0.5)

    def larger(self, width: int, time: int) -> nn.Module:
        return GuidedBlock(width, width, time, 2)

    def forward(self, x: Tensor, timesteps: Tensor) -> Tensor:
        return self.denoised(x, timesteps)


def claims(keys: Collection[str]) -> bool:
    """Whether a checkpoint with these keys is one of this network, without classes and not of the noise in latents."""
    return all(key in keys for key in _MARKS) and _CLASSES not in keys


def sizes(weights: Mapping[str, Tensor], head_width: int = GuidedUnetConfig.head_width) -> GuidedUnetConfig:
    """The sizes that the shapes of weights say; the width of an attention's head is none of them."""
    first = (level * (_LAYERS + 1) + 1 for level in count())
    blocks = list(takewhile(lambda number: _LEVEL.format(number) in weights, first))
    attending = (level for level, number in enumerate(blocks) if f"input_blocks.{number}.1.qkv.weight" in weights)
    return GuidedUnetConfig(
        channels_in=weights["input_blocks.0.0.weight"].shape[1],
        channels_out=weights["out.2.weight"].shape[0],
        widths=tuple(weights[_LEVEL.format(number)].shape[0] for number in blocks),
        attending=next(attending, len(blocks)),
        head_width=head_width,
    )
