"""DIRformer, the transformer of DiffIR: Restormer's blocks (Zamir et al. 2022), each led by a prior.

Attention is among channels, so that its cost grows with the pixels and not with their square.
"""

from typing import cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

EXPANSION = 1.8  # of a feed-forward's channels


class Dirformer(nn.Module):
    """Features [B,inputs,H,W] and a prior [B,prior] to a picture [B,3,H,W], over four levels of resolution.

    Attributes of the constructor: `blocks` and `heads` by level, the last one at an eighth of the resolution.
    """

    def __init__(self, width: int, blocks: tuple[int, ...], heads: tuple[int, ...], inputs: int, prior: int) -> None:
        super().__init__()

        def level(number: int, channels: int) -> nn.ModuleList:
            return nn.ModuleList(Block(channels, heads[number], prior) for _ in range(blocks[number]))

        self.patch_embed = Embedding(inputs, width)
        self.encoder_level1 = level(0, width)
        self.down1_2 = Down(width)
        self.encoder_level2 = level(1, 2 * width)
        self.down2_3 = Down(2 * width)
        self.encoder_level3 = level(2, 4 * width)
        self.down3_4 = Down(4 * width)
        self.latent = level(3, 8 * width)
        self.up4_3 = Up(8 * width)
        self.reduce_chan_level3 = plain(8 * width, 4 * width, 1)
        self.decoder_level3 = level(2, 4 * width)
        self.up3_2 = Up(4 * width)
        self.reduce_chan_level2 = plain(4 * width, 2 * width, 1)
        self.decoder_level2 = level(1, 2 * width)
        self.up2_1 = Up(2 * width)
        self.decoder_level1 = level(0, 2 * width)
        self.output = plain(2 * width, 3)

    def forward(self, x: Tensor, prior: Tensor) -> Tensor:
        first = through(self.encoder_level1, self.patch_embed(x), prior)
        second = through(self.encoder_level2, self.down1_2(first), prior)
        third = through(self.encoder_level3, self.down2_3(second), prior)
        x = self.up4_3(through(self.latent, self.down3_4(third), prior))
        x = through(self.decoder_level3, self.reduce_chan_level3(torch.cat((x, third), 1)), prior)
        x = through(self.decoder_level2, self.reduce_chan_level2(torch.cat((self.up3_2(x), second), 1)), prior)
        x = through(self.decoder_level1, torch.cat((self.up2_1(x), first), 1), prior)
        return cast(Tensor, self.output(x))


def plain(inputs: int, outputs: int, size: int = 3, groups: int = 1) -> nn.Conv2d:
    """A convolution without bias that keeps the size."""
    return nn.Conv2d(inputs, outputs, size, padding=size // 2, groups=groups, bias=False)


def through(blocks: nn.ModuleList, x: Tensor, prior: Tensor) -> Tensor:
    """One block after the other."""
    for block in blocks:
        x = block(x, prior)
    return x


class Embedding(nn.Module):
    """The first convolution."""

    def __init__(self, inputs: int, width: int) -> None:
        super().__init__()
        self.proj = plain(inputs, width)

    def forward(self, x: Tensor) -> Tensor:
        return cast(Tensor, self.proj(x))


class Down(nn.Module):
    """Half of the size and twice the channels."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.body = nn.Sequential(plain(channels, channels // 2), nn.PixelUnshuffle(2))

    def forward(self, x: Tensor) -> Tensor:
        return cast(Tensor, self.body(x))


class Up(nn.Module):
    """Twice the size and half of the channels."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.body = nn.Sequential(plain(channels, channels * 2), nn.PixelShuffle(2))

    def forward(self, x: Tensor) -> Tensor:
        return cast(Tensor, self.body(x))


class Block(nn.Module):
    """Attention and a feed-forward, each of what a norm and the prior made of its input."""

    def __init__(self, channels: int, heads: int, prior: int) -> None:
        super().__init__()
        self.norm1, self.norm2 = PixelNorm(channels), PixelNorm(channels)
        self.attn = ChannelAttention(channels, heads, prior)
        self.ffn = GatedFeedForward(channels, prior)

    def forward(self, x: Tensor, prior: Tensor) -> Tensor:
        x = x + self.attn(self.norm1(x), prior)
        return cast(Tensor, x + self.ffn(self.norm2(x), prior))


class PixelNorm(nn.Module):
    """A layer norm over the channels of each pixel."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.body = nn.LayerNorm(channels)

    def forward(self, x: Tensor) -> Tensor:
        return cast(Tensor, self.body(x.permute(0, 2, 3, 1))).permute(0, 3, 1, 2)


class Led(nn.Module):
    """Features that the prior scales and shifts, channel by channel."""

    def __init__(self, channels: int, prior: int) -> None:
        super().__init__()
        self.kernel = nn.Sequential(nn.Linear(prior, 2 * channels, bias=False))

    def led(self, x: Tensor, prior: Tensor) -> Tensor:
        scale, shift = self.kernel(prior)[:, :, None, None].chunk(2, dim=1)
        return cast(Tensor, x * scale + shift)


class ChannelAttention(Led):
    """Attention whose tokens are channels: a channel's keys are all pixels, of length 1."""

    def __init__(self, channels: int, heads: int, prior: int) -> None:
        super().__init__(channels, prior)
        self.temperature = nn.Parameter(torch.ones(heads, 1, 1))
        self.qkv = plain(channels, 3 * channels, 1)
        self.qkv_dwconv = plain(3 * channels, 3 * channels, groups=3 * channels)
        self.project_out = plain(channels, channels, 1)

    def forward(self, x: Tensor, prior: Tensor) -> Tensor:
        height, width = x.shape[2:]
        found = self.qkv_dwconv(self.qkv(self.led(x, prior))).flatten(2)
        query, key, value = (each.unflatten(1, (len(self.temperature), -1)) for each in found.chunk(3, dim=1))
        scores = F.normalize(query, dim=-1) @ F.normalize(key, dim=-1).transpose(-2, -1) * self.temperature
        mixed = (scores.softmax(-1) @ value).flatten(1, 2).unflatten(2, (height, width))
        return cast(Tensor, self.project_out(mixed))


class GatedFeedForward(Led):
    """Two branches of features, one of which gates the other through an exact GELU."""

    def __init__(self, channels: int, prior: int) -> None:
        super().__init__(channels, prior)
        hidden = int(channels * EXPANSION)
        self.project_in = plain(channels, 2 * hidden, 1)
        self.dwconv = plain(2 * hidden, 2 * hidden, groups=2 * hidden)
        self.project_out = plain(hidden, channels, 1)

    def forward(self, x: Tensor, prior: Tensor) -> Tensor:
        gate, given = self.dwconv(self.project_in(self.led(x, prior))).chunk(2, dim=1)
        return cast(Tensor, self.project_out(F.gelu(gate) * given))
