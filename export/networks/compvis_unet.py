"""Stable Diffusion's UNet with the keys of CompVis's checkpoints, `model.diffusion_model.*` of `sd-v1-4.ckpt`.

Rombach et al., "High-Resolution Image Synthesis with Latent Diffusion Models" (2022). Its transformers and upsamplings
are diffusers' own, whose keys are the same.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import cast

import torch
from diffusers.models.embeddings import Timesteps
from diffusers.models.transformers.transformer_2d import Transformer2DModel
from diffusers.models.upsampling import Upsample2D
from torch import Tensor, nn

GROUPS = 32
NORM_EPSILON = 1e-5  # outside of the transformers, which have 1e-6


@dataclass(frozen=True)
class CompVisUnetConfig:
    """Sizes; the defaults are Stable Diffusion 1's. The coarsest level has no transformers."""

    channels_in: int = 4
    channels_out: int = 4
    widths: tuple[int, ...] = (320, 640, 1280, 1280)
    layers: int = 2
    heads: int = 8
    context: int = 768

    def last_of_level(self, level: int) -> int:
        """The number of the input block that ends a level, in front of its downsampling."""
        return level * (self.layers + 1) + self.layers


class ResidualBlock(nn.Module):
    """[B,C,h,w] and an embedded time [B,T] to [B,O,h,w]."""

    def __init__(self, inputs: int, outputs: int, time: int) -> None:
        super().__init__()
        self.in_layers = nn.Sequential(_norm(inputs), nn.SiLU(), nn.Conv2d(inputs, outputs, 3, padding=1))
        self.emb_layers = nn.Sequential(nn.SiLU(), nn.Linear(time, outputs))
        last = nn.Conv2d(outputs, outputs, 3, padding=1)
        self.out_layers = nn.Sequential(_norm(outputs), nn.SiLU(), nn.Identity(), last)  # a dropout in training
        self.skip_connection = nn.Identity() if inputs == outputs else nn.Conv2d(inputs, outputs, 1)

    def forward(self, x: Tensor, time: Tensor) -> Tensor:
        h = self.in_layers(x) + self.emb_layers(time)[:, :, None, None]
        return cast(Tensor, self.skip_connection(x) + self.out_layers(h))


class Downsampling(nn.Module):
    """[B,C,h,w] to [B,C,h/2,w/2]."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.op = nn.Conv2d(channels, channels, 3, stride=2, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        return cast(Tensor, self.op(x))


class Block(nn.ModuleList):
    """Layers one after the other, each given what it reads of the time [B,T] and the text's states [B,n,d]."""

    def forward(self, x: Tensor, time: Tensor, context: Tensor) -> Tensor:
        for layer in self:
            if isinstance(layer, ResidualBlock):
                x = layer(x, time)
            elif isinstance(layer, Transformer2DModel):
                x = layer(x, encoder_hidden_states=context, return_dict=False)[0]
            else:
                x = layer(x)
        return x


class CompVisUnet(nn.Module):
    """The noise in a latent [B,4,h,w] at timesteps [B], for a text's states [B,n,d]."""

    def __init__(self, config: CompVisUnetConfig) -> None:
        super().__init__()
        self.config = config
        widths, layers = config.widths, config.layers
        coarsest, time = len(widths) - 1, 4 * widths[0]
        self.timesteps = Timesteps(widths[0], flip_sin_to_cos=True, downscale_freq_shift=0)
        self.time_embed = nn.Sequential(nn.Linear(widths[0], time), nn.SiLU(), nn.Linear(time, time))

        def transformers(level: int) -> list[nn.Module]:
            return [_transformer(widths[level], config)] * (level < coarsest)

        self.input_blocks = nn.ModuleList([Block([nn.Conv2d(config.channels_in, widths[0], 3, padding=1)])])
        skips = [widths[0]]
        for level, width in enumerate(widths):
            for _ in range(layers):
                self.input_blocks.append(Block([ResidualBlock(skips[-1], width, time), *transformers(level)]))
                skips.append(width)
            if level < coarsest:
                self.input_blocks.append(Block([Downsampling(width)]))
                skips.append(width)
        around = [ResidualBlock(widths[-1], widths[-1], time) for _ in range(2)]
        self.middle_block = Block([around[0], _transformer(widths[-1], config), around[1]])
        self.output_blocks = nn.ModuleList()
        below = widths[-1]
        for level in reversed(range(len(widths))):
            for number in range(layers + 1):
                block = Block([ResidualBlock(below + skips.pop(), widths[level], time), *transformers(level)])
                if level and number == layers:
                    block.append(Upsample2D(widths[level], use_conv=True))
                self.output_blocks.append(block)
                below = widths[level]
        self.out = nn.Sequential(_norm(below), nn.SiLU(), nn.Conv2d(below, config.channels_out, 3, padding=1))

    def denoised(
        self, x: Tensor, timesteps: Tensor, context: Tensor, changed: Callable[[int, Tensor], Tensor] | None = None
    ) -> Tensor:
        """What the network answers; `changed` gets the number and the answer of each input block, before it is kept."""
        time = self.time_embed(self.timesteps(timesteps).to(x.dtype))
        kept: list[Tensor] = []
        for number, block in enumerate(self.input_blocks):
            x = block(x, time, context)
            if changed is not None:
                x = changed(number, x)
            kept.append(x)
        x = self.middle_block(x, time, context)
        for block in self.output_blocks:
            x = block(torch.cat((x, kept.pop()), 1), time, context)
        return cast(Tensor, self.out(x))

    def forward(self, x: Tensor, timesteps: Tensor, context: Tensor) -> Tensor:
        return self.denoised(x, timesteps, context)


def _norm(channels: int) -> nn.GroupNorm:
    return nn.GroupNorm(GROUPS, channels, eps=NORM_EPSILON)


def _transformer(width: int, config: CompVisUnetConfig) -> Transformer2DModel:
    return Transformer2DModel(
        num_attention_heads=config.heads,
        attention_head_dim=width // config.heads,
        in_channels=width,
        norm_num_groups=GROUPS,
        cross_attention_dim=config.context,
    )
