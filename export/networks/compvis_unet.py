"""CompVis's UNets, and Stable Diffusion's among them, with the keys of `model.diffusion_model.*` in their checkpoints.

Rombach et al., "High-Resolution Image Synthesis with Latent Diffusion Models" (2022). Its transformers and upsamplings
are diffusers' own, whose keys are the same.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol, cast

import torch
from diffusers.models.embeddings import Timesteps
from diffusers.models.transformers.transformer_2d import Transformer2DModel
from diffusers.models.upsampling import Upsample2D
from torch import Tensor, nn

GROUPS = 32
NORM_EPSILON = 1e-5  # outside of the transformers, which have 1e-6


class Sizes(Protocol):
    """Sizes of a UNet: its channels, and the residual layers of a level."""

    @property
    def channels_in(self) -> int: ...
    @property
    def channels_out(self) -> int: ...
    @property
    def widths(self) -> tuple[int, ...]: ...
    @property
    def layers(self) -> int: ...


@dataclass(frozen=True)
class CompVisUnetConfig:
    """Sizes; the defaults are Stable Diffusion 1's. The coarsest level has no transformers."""

    channels_in: int = 4
    channels_out: int = 4
    widths: tuple[int, ...] = (320, 640, 1280, 1280)
    layers: int = 2
    heads: int = 8
    context: int = 768
    groups: int = GROUPS

    def last_of_level(self, level: int) -> int:
        """The number of the input block that ends a level, in front of its downsampling."""
        return level * (self.layers + 1) + self.layers

    def coarsest(self) -> frozenset[str]:
        """Names of the modules, in a served UNet, that work on the coarsest maps and have most of the weights."""
        last = self.last_of_level(len(self.widths) - 1)
        inputs = (f"network.input_blocks.{last - number}" for number in range(self.layers))
        outputs = (f"network.output_blocks.{number}.0" for number in range(self.layers + 1))
        return frozenset(("network.middle_block", *inputs, *outputs))


class ResidualBlock(nn.Module):
    """[B,C,h,w] and an embedded time [B,T] to [B,O,h,w]."""

    def __init__(self, inputs: int, outputs: int, time: int, groups: int = GROUPS) -> None:
        super().__init__()
        self.in_layers = nn.Sequential(norm(inputs, groups), nn.SiLU(), nn.Conv2d(inputs, outputs, 3, padding=1))
        self.emb_layers = nn.Sequential(nn.SiLU(), nn.Linear(time, outputs))
        last = nn.Conv2d(outputs, outputs, 3, padding=1)
        self.out_layers = nn.Sequential(norm(outputs, groups), nn.SiLU(), nn.Identity(), last)  # a dropout in training
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
    """Layers one after the other, each given what it reads of the time [B,T] and a text's states [B,n,d]."""

    def forward(self, x: Tensor, time: Tensor, context: Tensor | None) -> Tensor:
        for layer in self:
            if isinstance(layer, ResidualBlock):
                x = layer(x, time)
            elif isinstance(layer, Transformer2DModel):
                x = layer(x, encoder_hidden_states=context, return_dict=False)[0]
            else:
                x = layer(x)
        return x


class Unet(nn.Module, ABC):
    """The noise in a latent [B,C,h,w] at timesteps [B]; how maps attend and change their size is a subclass's.

    Attributes:
        groups: of channels that are normalized together.
    """

    groups: int = GROUPS

    def __init__(self, config: Sizes) -> None:
        super().__init__()
        widths, layers = config.widths, config.layers
        coarsest, time = len(widths) - 1, 4 * widths[0]
        self.timesteps = Timesteps(widths[0], flip_sin_to_cos=True, downscale_freq_shift=0)
        self.time_embed = nn.Sequential(nn.Linear(widths[0], time), nn.SiLU(), nn.Linear(time, time))

        def attention(level: int) -> list[nn.Module]:
            return [self.attention(widths[level])] if self.attends(level, coarsest) else []

        self.input_blocks = nn.ModuleList([Block([nn.Conv2d(config.channels_in, widths[0], 3, padding=1)])])
        skips = [widths[0]]
        for level, width in enumerate(widths):
            for _ in range(layers):
                self.input_blocks.append(Block([self.residual(skips[-1], width, time), *attention(level)]))
                skips.append(width)
            if level < coarsest:
                self.input_blocks.append(Block([self.smaller(width, time)]))
                skips.append(width)
        around = [self.residual(widths[-1], widths[-1], time) for _ in range(2)]
        self.middle_block = Block([around[0], self.attention(widths[-1]), around[1]])
        self.output_blocks = nn.ModuleList()
        below = widths[-1]
        for level in reversed(range(len(widths))):
            for number in range(layers + 1):
                block = Block([self.residual(below + skips.pop(), widths[level], time), *attention(level)])
                if level and number == layers:
                    block.append(self.larger(widths[level], time))
                self.output_blocks.append(block)
                below = widths[level]
        self.out = nn.Sequential(
            norm(below, self.groups), nn.SiLU(), nn.Conv2d(below, config.channels_out, 3, padding=1)
        )

    def residual(self, inputs: int, outputs: int, time: int) -> ResidualBlock:
        """A block between maps of so many channels."""
        return ResidualBlock(inputs, outputs, time, self.groups)

    @abstractmethod
    def attends(self, level: int, coarsest: int) -> bool:
        """Whether the layers of a level attend; the finest is 0."""

    @abstractmethod
    def attention(self, width: int) -> nn.Module:
        """What attends, for a map of so many channels."""

    @abstractmethod
    def smaller(self, width: int, time: int) -> nn.Module:
        """To half of the size."""

    @abstractmethod
    def larger(self, width: int, time: int) -> nn.Module:
        """To twice the size."""

    def denoised(
        self,
        x: Tensor,
        timesteps: Tensor,
        context: Tensor | None = None,
        changed: Callable[[int, Tensor], Tensor] | None = None,
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


class CompVisUnet(Unet):
    """Stable Diffusion's: for a text's states [B,n,d]."""

    def __init__(self, config: CompVisUnetConfig) -> None:
        self.config = config
        self.groups = config.groups
        super().__init__(config)

    def attends(self, level: int, coarsest: int) -> bool:
        return level < coarsest

    def attention(self, width: int) -> nn.Module:
        attending: nn.Module = Transformer2DModel(
            num_attention_heads=self.config.heads,
            attention_head_dim=width // self.config.heads,
            in_channels=width,
            norm_num_groups=self.groups,
            cross_attention_dim=self.config.context,
        )
        return attending

    def smaller(self, width: int, time: int) -> nn.Module:
        return Downsampling(width)

    def larger(self, width: int, time: int) -> nn.Module:
        return cast(nn.Module, Upsample2D(width, use_conv=True))

    def forward(self, x: Tensor, timesteps: Tensor, context: Tensor) -> Tensor:
        return self.denoised(x, timesteps, context)


def norm(channels: int, groups: int = GROUPS) -> nn.GroupNorm:
    return nn.GroupNorm(groups, channels, eps=NORM_EPSILON)
