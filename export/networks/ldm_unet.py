"""The UNet of latent diffusion models without text, under CompVis's keys: attention among a map's own pixels.

Rombach et al., "High-Resolution Image Synthesis with Latent Diffusion Models" (2022); its blocks are those of guided
diffusion (Dhariwal and Nichol 2021), which resample inside residual blocks.
"""

from dataclasses import dataclass
from typing import cast

import torch
import torch.nn.functional as F
from diffusers.models.attention_processor import Attention
from diffusers.models.embeddings import Timesteps
from torch import Tensor, nn

from export.networks.compvis_unet import GROUPS, NORM_EPSILON, ResidualBlock


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
        norm, activation, convolution = self.in_layers
        h = convolution(self.resampled(activation(norm(x)))) + self.emb_layers(time)[:, :, None, None]
        return cast(Tensor, self.resampled(x) + self.out_layers(h))

    def resampled(self, x: Tensor) -> Tensor:
        """By the mean of two by two pixels, or by repetition."""
        return F.avg_pool2d(x, 2) if self.factor < 1 else F.interpolate(x, scale_factor=self.factor, mode="nearest")


class AttentionBlock(nn.Module):
    """[B,C,h,w] to the same. Of each head, queries, keys and values lie one behind the other in `qkv`."""

    def __init__(self, channels: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.norm = nn.GroupNorm(GROUPS, channels, eps=NORM_EPSILON)
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


class Block(nn.ModuleList):
    """Layers one after the other, of which residual ones read the time [B,T]."""

    def forward(self, x: Tensor, time: Tensor) -> Tensor:
        for layer in self:
            x = layer(x, time) if isinstance(layer, ResidualBlock) else layer(x)
        return x


class LdmUnet(nn.Module):
    """[B,channels_in,h,w] at timesteps [B] to the noise in its first channels [B,channels_out,h,w]."""

    def __init__(self, config: LdmUnetConfig) -> None:
        super().__init__()
        widths, layers = config.widths, config.layers
        coarsest, time = len(widths) - 1, 4 * widths[0]
        self.timesteps = Timesteps(widths[0], flip_sin_to_cos=True, downscale_freq_shift=0)
        self.time_embed = nn.Sequential(nn.Linear(widths[0], time), nn.SiLU(), nn.Linear(time, time))

        def attention(level: int) -> list[nn.Module]:
            return [AttentionBlock(widths[level], config.heads)] * (level > 0)

        self.input_blocks = nn.ModuleList([Block([nn.Conv2d(config.channels_in, widths[0], 3, padding=1)])])
        skips = [widths[0]]
        for level, width in enumerate(widths):
            for _ in range(layers):
                self.input_blocks.append(Block([ResidualBlock(skips[-1], width, time), *attention(level)]))
                skips.append(width)
            if level < coarsest:
                self.input_blocks.append(Block([ResampledBlock(width, time, 0.5)]))
                skips.append(width)
        around = [ResidualBlock(widths[-1], widths[-1], time) for _ in range(2)]
        self.middle_block = Block([around[0], AttentionBlock(widths[-1], config.heads), around[1]])
        self.output_blocks = nn.ModuleList()
        below = widths[-1]
        for level in reversed(range(len(widths))):
            for number in range(layers + 1):
                block = Block([ResidualBlock(below + skips.pop(), widths[level], time), *attention(level)])
                if level and number == layers:
                    block.append(ResampledBlock(widths[level], time, 2.0))
                self.output_blocks.append(block)
                below = widths[level]
        norm = nn.GroupNorm(GROUPS, below, eps=NORM_EPSILON)
        self.out = nn.Sequential(norm, nn.SiLU(), nn.Conv2d(below, config.channels_out, 3, padding=1))

    def forward(self, x: Tensor, timesteps: Tensor) -> Tensor:
        time = self.time_embed(self.timesteps(timesteps).to(x.dtype))
        kept: list[Tensor] = []
        for block in self.input_blocks:
            x = block(x, time)
            kept.append(x)
        x = self.middle_block(x, time)
        for block in self.output_blocks:
            x = block(torch.cat((x, kept.pop()), 1), time)
        return cast(Tensor, self.out(x))


def with_ordinary_attention(network: nn.Module) -> None:
    """Replaces, in place, each `AttentionBlock` by diffusers' module with its weights."""
    for module in list(network.modules()):
        if isinstance(module, Block):
            for number, layer in enumerate(module):
                if isinstance(layer, AttentionBlock):
                    module[number] = layer.ordinary()
