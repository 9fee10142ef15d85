"""Hiera as SAM 2 has it, with its neck: a picture to maps whose elements cover 4, 8 and 16 pixels each way.

Ryali et al., "Hiera: A Hierarchical Vision Transformer without the Bells-and-Whistles" (ICML 2023); Bolya et al.,
"Window Attention is Bugged: How not to Interpolate Position Embeddings" (ICLR 2024), from which the places are.
"""

from collections import OrderedDict
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import accumulate
from typing import cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from export.networks.attention import LONG, fused_attention, merge_heads, split_heads
from export.networks.mask_decoder import Perceptron

PATCH = 4  # pixels of the picture to an element of the first map
EXPANSION = 4  # of the channels inside a block


@dataclass(frozen=True)
class HieraConfig:
    """Sizes; the defaults are those of the tiny one.

    A stage has twice the channels and heads of the one before it, and half the side. `wide_blocks` attend to the whole
    map, the others to windows of their stage's size; the first block of a stage has the one before's.
    """

    stem_width: int = 96
    stem_heads: int = 1
    stage_depths: tuple[int, ...] = (1, 2, 7, 2)
    stage_windows: tuple[int, ...] = (8, 4, 14, 7)
    wide_blocks: tuple[int, ...] = (5, 7, 9)
    places: int = 7  # the side of the map of places that was learned
    width: int = 256  # of the neck's maps


class ImageEncoder(nn.Module):
    """Trunk and neck: normalised `image` [B,3,S,S] to [B,C,S/4,S/4], [B,C,S/8,S/8] and [B,C,S/16,S/16]."""

    def __init__(self, config: HieraConfig) -> None:
        super().__init__()
        self.trunk = Hiera(config)
        self.neck = Neck(config)

    def forward(self, image: Tensor, places: Tensor | None = None) -> tuple[Tensor, Tensor, Tensor]:
        """`places` are those of `Hiera.places`, where they are at hand."""
        return cast(tuple[Tensor, Tensor, Tensor], self.neck(*self.trunk(image, places)))


class Hiera(nn.Module):
    """Normalised `image` [B,3,S,S] to the last map [B,C,H,W] of each stage."""

    def __init__(self, config: HieraConfig) -> None:
        super().__init__()
        width, side, window = config.stem_width, config.places, config.stage_windows[0]
        self.patch_embed = Patches(width)
        self.pos_embed = nn.Parameter(torch.zeros(1, width, side, side))
        self.pos_embed_window = nn.Parameter(torch.zeros(1, width, window, window))
        self.blocks = nn.ModuleList(blocks(config))
        self.ends = {end - 1 for end in accumulate(config.stage_depths)}

    def places(self, side: int) -> Tensor:
        """What is added to the patches of a map of side x side: [1,side,side,C]; the side is one of whole windows."""
        coarse = F.interpolate(self.pos_embed, size=(side, side), mode="bicubic")
        times = side // self.pos_embed_window.shape[2]
        return (coarse + self.pos_embed_window.repeat(1, 1, times, times)).permute(0, 2, 3, 1)

    def forward(self, image: Tensor, places: Tensor | None = None) -> list[Tensor]:
        x = self.patch_embed(image)
        x = x + (self.places(x.shape[1]) if places is None else places)
        maps = []
        for number, block in enumerate(self.blocks):
            x = block(x)
            if number in self.ends:
                maps.append(x.permute(0, 3, 1, 2))
        return maps


class Patches(nn.Module):
    """Overlapping patches of 7 x 7 pixels: [B,3,S,S] to [B,S/4,S/4,C]."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.proj = nn.Conv2d(3, width, 7, PATCH, 3)

    def forward(self, image: Tensor) -> Tensor:
        return cast(Tensor, self.proj(image)).permute(0, 2, 3, 1)


def blocks(config: HieraConfig) -> "Iterator[Block]":
    """Those of all stages, in order."""
    width, heads, number = config.stem_width, config.stem_heads, 0
    window = config.stage_windows[0]
    for stage, depth in enumerate(config.stage_depths):
        for place in range(depth):
            first = stage > 0 and place == 0
            wider = width * 2 if first else width
            heads = heads * 2 if first else heads
            yield Block(width, wider, heads, 0 if number in config.wide_blocks else window)
            width, number, window = wider, number + 1, config.stage_windows[stage]


class Block(nn.Module):
    """Pre-norm attention and perceptron: [B,H,W,C] to the same, or to [B,H/2,W/2,2C].

    `window` is the side of a window, 0 for one that is the whole map.
    """

    def __init__(self, width: int, wider: int, heads: int, window: int) -> None:
        super().__init__()
        self.window = window
        self.halves = wider != width
        self.norm1 = nn.LayerNorm(width, 1e-6)
        self.attn = Attention(width, wider, heads)
        self.norm2 = nn.LayerNorm(wider, 1e-6)
        self.mlp = Perceptron(wider, EXPANSION * wider, wider, between=F.gelu)
        if self.halves:
            self.proj = nn.Linear(width, wider)

    def forward(self, x: Tensor) -> Tensor:
        normed = self.norm1(x)
        if self.halves:
            x = halved(self.proj(normed))
        x = x + self.attend(normed)
        return cast(Tensor, x + self.mlp(self.norm2(x)))

    def attend(self, x: Tensor) -> Tensor:
        """Windows from the upper left corner; those that reach over an edge see zeros there, as published."""
        (height, width), size = x.shape[1:3], self.window
        if not size:
            return cast(Tensor, self.attn(x))
        padded = F.pad(x, (0, 0, 0, -width % size, 0, -height % size))
        rows, columns = padded.shape[1] // size, padded.shape[2] // size
        windows = padded.unflatten(2, (columns, size)).unflatten(1, (rows, size)).transpose(2, 3)
        attended = self.attn(windows.flatten(0, 2)).unflatten(0, (-1, rows, columns))
        whole = attended.transpose(2, 3).flatten(3, 4).flatten(1, 2)
        share = 2 if self.halves else 1
        return cast(Tensor, whole[:, : height // share, : width // share])


class Attention(nn.Module):
    """Attention among the elements of [B,H,W,C]; where the width grows, the queries are the largest of each 2 x 2."""

    def __init__(self, width: int, wider: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.halves = wider != width
        self.qkv = nn.Linear(width, 3 * wider)
        self.proj = nn.Linear(wider, wider)

    def forward(self, x: Tensor) -> Tensor:
        query, key, value = self.qkv(x).chunk(3, -1)
        if self.halves:
            query = halved(query)
        height, width = query.shape[1:3]
        q, k, v = (each.flatten(1, 2) for each in (query, key, value))
        if k.shape[1] >= LONG and torch.compiler.is_exporting():
            found = fused_attention(q, k, v, self.heads, (q.shape[2] // self.heads) ** -0.5)
        else:
            q, k, v = (split_heads(each, self.heads) for each in (q, k, v))
            found = merge_heads(F.scaled_dot_product_attention(q, k, v))
        return cast(Tensor, self.proj(found).unflatten(1, (height, width)))


def halved(x: Tensor) -> Tensor:
    """The largest of each 2 x 2 elements of [B,H,W,C]: [B,H/2,W/2,C]."""
    return F.max_pool2d(x.permute(0, 3, 1, 2), 2).permute(0, 2, 3, 1)


class Neck(nn.Module):
    """The stages' maps to maps of one width; the third has the fourth added, and those before it stay by themselves."""

    def __init__(self, config: HieraConfig) -> None:
        super().__init__()
        widths = [config.stem_width * 2**stage for stage in range(len(config.stage_depths))]
        lateral = (nn.Conv2d(width, config.width, 1) for width in reversed(widths))
        self.convs = nn.ModuleList(nn.Sequential(OrderedDict(conv=conv)) for conv in lateral)

    def forward(self, *maps: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        last, third, second, first = (conv(each) for conv, each in zip(self.convs, reversed(maps), strict=True))
        return first, second, third + F.interpolate(last, scale_factor=2.0, mode="nearest")
