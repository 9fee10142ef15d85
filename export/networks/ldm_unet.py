"""The UNet of latent diffusion models without text, under CompVis's keys: attention among a map's own pixels.

Rombach et al., "High-Resolution Image Synthesis with Latent Diffusion Models" (2022); its blocks are those of guided
diffusion (Dhariwal and Nichol 2021), which resample inside residual blocks.
"""

from dataclasses import dataclass
from typing import cast

import torch
import torch.nn.functional as F
from diffusers.models.attention_processor import Attention
from diffusers.models.upsampling import Upsample2D
from torch import Tensor, nn

from export.networks.compvis_unet import Downsampling, ResidualBlock, Unet, norm
from export.networks.map_attention import MapAttention


@dataclass(frozen=True)
class LdmUnetConfig:
    """Sizes; the defaults are those of `inpainting_big`. All levels but the finest attend."""

    channels_in: int = 7
    channels_out: int = 3
    widths: tuple[int, ...] = (256, 512, 768, 1024)
    layers: int = 2
    heads: int = 8


class ResampledBlock(ResidualBlock):
    """A residual block to half of the size, or to twice: both branches are resampled, ahead of the convolution."""

    def __init__(self, channels: int, time: int, factor: float) -> None:
        super().__init__(channels, channels, time)
        self.factor = factor

    def forward(self, x: Tensor, time: Tensor) -> Tensor:
        first, activation, convolution = self.in_layers
        h = convolution(self.resampled(activation(first(x)))) + self.emb_layers(time)[:, :, None, None]
        return cast(Tensor, self.resampled(x) + self.out_layers(h))

    def resampled(self, x: Tensor) -> Tensor:
        """By the mean of two by two pixels, or by repetition."""
        return F.avg_pool2d(x, 2) if self.factor < 1 else F.interpolate(x, scale_factor=self.factor, mode="nearest")


class AttentionBlock(MapAttention):
    """[B,C,h,w] to the same. Of each head, queries, keys and values lie one behind the other in `qkv`."""

    def __init__(self, channels: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.norm = norm(channels)
        self.qkv = nn.Conv1d(channels, 3 * channels, 1)
        self.proj_out = nn.Conv1d(channels, channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        tokens = self.qkv(self.norm(x).flatten(2)).unflatten(1, (self.heads, 3, -1)).transpose(-2, -1)
        attended = F.scaled_dot_product_attention(*tokens.unbind(2)).transpose(-2, -1).flatten(1, 2)
        return cast(Tensor, x + self.proj_out(attended).unflatten(2, x.shape[2:]))

    def ordinary(self) -> Attention:
        """See `MapAttention`."""
        weights, biases = (
            each.detach().unflatten(0, (self.heads, 3, -1)).transpose(0, 1).flatten(1, 2)
            for each in (self.qkv.weight[..., 0], self.qkv.bias if self.qkv.bias is not None else torch.empty(0))
        )
        return self.as_diffusers(self.heads, zip(weights, biases, strict=True))


class LdmUnet(Unet):
    """[B,channels_in,h,w] at timesteps [B] to the noise in its first channels [B,channels_out,h,w]."""

    def __init__(self, config: LdmUnetConfig) -> None:
        self.config = config
        super().__init__(config)

    def attends(self, level: int, coarsest: int) -> bool:
        return level > 0

    def attention(self, width: int) -> nn.Module:
        return AttentionBlock(width, self.config.heads)

    def smaller(self, width: int, time: int) -> nn.Module:
        return ResampledBlock(width, time, 0.5)

    def larger(self, width: int, time: int) -> nn.Module:
        return ResampledBlock(width, time, 2.0)

    def forward(self, x: Tensor, timesteps: Tensor) -> Tensor:
        return self.denoised(x, timesteps)


@dataclass(frozen=True)
class PlainLdmUnetConfig:
    """Sizes; the defaults are those of `bsr_sr`. Of all levels the coarsest attends alone."""

    channels_in: int = 6
    channels_out: int = 3
    widths: tuple[int, ...] = (160, 320, 320, 640)
    layers: int = 2
    head_width: int = 32


class PlainLdmUnet(Unet):
    """The same with plain convolutions between the levels, and heads of one width."""

    def __init__(self, config: PlainLdmUnetConfig) -> None:
        self.config = config
        super().__init__(config)

    def attends(self, level: int, coarsest: int) -> bool:
        return level == coarsest

    def attention(self, width: int) -> nn.Module:
        return AttentionBlock(width, width // self.config.head_width)

    def smaller(self, width: int, time: int) -> nn.Module:
        return Downsampling(width)

    def larger(self, width: int, time: int) -> nn.Module:
        return cast(nn.Module, Upsample2D(width, use_conv=True))

    def forward(self, x: Tensor, timesteps: Tensor) -> Tensor:
        return self.denoised(x, timesteps)


class ServedLdmUnet(nn.Module):
    """The noise FP32 [B,O,h,w] in `latent` [B,O,h,w] at `timestep` FP32 [B,1], beside a `condition` [B,C,h,w]."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, latent: Tensor, timestep: Tensor, condition: Tensor) -> Tensor:
        return cast(Tensor, self.network(torch.cat((latent, condition), 1), timestep[:, 0]))


def coarsest(network: LdmUnet | PlainLdmUnet) -> frozenset[str]:
    """Names of the modules, in a `ServedLdmUnet`, that work on the coarsest maps: these may have no whole tiles.

    See `export.winograd`. What makes a map of twice the size at their end is not among them.
    """
    of_level, inputs = network.config.layers + 1, len(network.input_blocks)
    names = [f"input_blocks.{number}" for number in range(inputs - of_level, inputs)]
    names += [f"output_blocks.{number}.0" for number in range(of_level)]
    return frozenset(f"network.{name}" for name in (*names, "middle_block"))
