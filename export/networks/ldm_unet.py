"""The UNet of latent diffusion models without text, under CompVis's keys: attention among a map's own pixels.

Rombach et al., "High-Resolution Image Synthesis with Latent Diffusion Models" (2022); its blocks are those of guided
diffusion (Dhariwal and Nichol 2021), which resample inside residual blocks.
"""

from dataclasses import dataclass
from typing import cast

import torch
import torch.nn.functional as F
from diffusers.models.attention_processor import Attention
from torch import Tensor, nn

from export.networks.compvis_unet import GROUPS, NORM_EPSILON, Block, ResidualBlock, Unet, norm


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


class AttentionBlock(nn.Module):
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
        """The same as diffusers' module, which `export.runtime_form` rewrites for an engine."""
        channels = self.norm.num_channels
        found = Attention(
            channels,
            heads=self.heads,
            dim_head=channels // self.heads,
            bias=True,
            norm_num_groups=GROUPS,
            eps=NORM_EPSILON,
            residual_connection=True,
        )
        weights, biases = (
            each.detach().unflatten(0, (self.heads, 3, -1)).transpose(0, 1).flatten(1, 2)
            for each in (self.qkv.weight[..., 0], self.qkv.bias if self.qkv.bias is not None else torch.empty(0))
        )
        for layer, weight, bias in zip((found.to_q, found.to_k, found.to_v), weights, biases, strict=True):
            layer.load_state_dict({"weight": weight, "bias": bias})
        found.to_out[0].load_state_dict({"weight": self.proj_out.weight[..., 0], "bias": self.proj_out.bias})
        found.group_norm.load_state_dict(self.norm.state_dict())
        return found.eval()


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


def with_ordinary_attention(network: nn.Module) -> None:
    """Replaces, in place, each `AttentionBlock` by diffusers' module with its weights."""
    for module in list(network.modules()):
        if isinstance(module, Block):
            for number, layer in enumerate(module):
                if isinstance(layer, AttentionBlock):
                    module[number] = layer.ordinary()
