"""What the Segment Anything networks decode masks with: prompts, a transformer that goes both ways, masks from tokens.

Kirillov et al., "Segment Anything" (ICCV 2023). Points are of the square that the encoder saw, x before y, from its
corner; labels are those of `concord.prompts`.
"""

from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise
from math import pi
from typing import TypeAlias, cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from concord.prompts import ABSENT, PADDING, SQUARE
from export.networks.attention import hide, merge_heads, split_heads
from export.networks.tiny_vit import ChannelNorm

MASKS = 4
"""The first is the best guess where the prompts leave no doubt; the others are part, object and group."""
Inner: TypeAlias = Callable[[int, int], nn.Module]
"""Makes the perceptron of a transformer's layer, from its width and the one inside: `FeedForward` or one like it."""
MASK_WIDTHS = (4, 16)  # inside the way of a given mask, which is in the published files and not served


@dataclass(frozen=True)
class MaskDecoderConfig:
    """Sizes; the defaults are the published ones."""

    width: int = 256
    heads: int = 8
    feedforward: int = 2048
    layers: int = 2
    score_width: int = 256


class PromptEncoder(nn.Module):
    """Points and labels to tokens, and where the elements of an embedding lie."""

    def __init__(self, width: int) -> None:
        super().__init__()
        small, large = MASK_WIDTHS
        self.pe_layer = Waves(width)
        self.point_embeddings = nn.ModuleList(nn.Embedding(1, width) for _ in range(4))
        self.not_a_point_embed = nn.Embedding(1, width)
        self.mask_downscaling = nn.Sequential(
            nn.Conv2d(1, small, 2, 2),
            ChannelNorm(small),
            nn.GELU(),
            nn.Conv2d(small, large, 2, 2),
            ChannelNorm(large),
            nn.GELU(),
            nn.Conv2d(large, width, 1),
        )
        self.no_mask_embed = nn.Embedding(1, width)

    def forward(self, points: Tensor, labels: Tensor) -> Tensor:
        """`points` [B,N,2] and `labels` int [B,N] to tokens [B,N,C]; those of absent points are zeros."""
        embeddings = (self.not_a_point_embed, *self.point_embeddings)
        kinds = torch.cat([cast(Tensor, each.weight) for each in embeddings])
        places = self.pe_layer((points + 0.5) / SQUARE)
        tokens = places * (labels > PADDING)[..., None] + F.embedding((labels - PADDING).clamp(min=0).long(), kinds)
        return cast(Tensor, tokens * (labels != ABSENT)[..., None])

    def absent(self, labels: Tensor) -> Tensor:
        """Which prompts are none: bool [B,N]."""
        return labels == ABSENT

    def grid(self, side: int) -> Tensor:
        """Places [1,side*side,C] of a square embedding's elements."""
        line = (torch.arange(side) + 0.5) / side
        return cast(Tensor, self.pe_layer(torch.stack((line.repeat(side), line.repeat_interleave(side)), 1)[None]))


class Waves(nn.Module):
    """Places in 0..1 to sines and cosines of frequencies that were drawn once: [...,2] to [...,C]."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.register_buffer("positional_encoding_gaussian_matrix", torch.randn(2, width // 2))

    def forward(self, places: Tensor) -> Tensor:
        phase = 2 * pi * ((2 * places - 1) @ cast(Tensor, self.positional_encoding_gaussian_matrix))
        return torch.cat((phase.sin(), phase.cos()), -1)


class MaskDecoder(nn.Module):
    """Embedding, places and prompt tokens to mask logits [B,4,4h,4w] and the IoU that each mask should have [B,4]."""

    def __init__(self, config: MaskDecoderConfig, inner: Inner) -> None:
        super().__init__()
        width = config.width
        self.transformer = TwoWayTransformer(config, inner)
        self.iou_token = nn.Embedding(1, width)
        self.mask_tokens = nn.Embedding(MASKS, width)
        self.output_upscaling = nn.Sequential(
            nn.ConvTranspose2d(width, width // 4, 2, 2),
            ChannelNorm(width // 4),
            nn.GELU(),
            nn.ConvTranspose2d(width // 4, width // 8, 2, 2),
            nn.GELU(),
        )
        self.output_hypernetworks_mlps = nn.ModuleList(
            Perceptron(width, width, width, width // 8) for _ in range(MASKS)
        )
        self.iou_prediction_head = Perceptron(width, config.score_width, config.score_width, MASKS)

    def forward(
        self, embedding: Tensor, places: Tensor, prompts: Tensor, absent: Tensor, *finer: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Decode.

        Args:
            embedding: [B,C,h,w], with that of the given mask, or of none, added.
            places: [1,h*w,C] of its elements.
            prompts: [B,N,C].
            absent: bool [B,N], true for prompts that are none.
            finer: maps that `upscaled` reads besides.
        """
        own = self.own_tokens()
        tokens = torch.cat((own.expand(prompts.shape[0], -1, -1), prompts), 1)
        hidden = hide(F.pad(absent, (len(own), 0)))
        tokens, pixels = self.transformer(tokens, embedding.flatten(2).transpose(1, 2), places, hidden)
        upscaled = self.upscaled(pixels.transpose(1, 2).unflatten(2, embedding.shape[2:]), *finer)
        heads = zip(self.output_hypernetworks_mlps, tokens[:, 1 : 1 + MASKS].unbind(1), strict=True)
        kernels = torch.stack([head(token) for head, token in heads], 1)
        masks = (kernels @ upscaled.flatten(2)).unflatten(2, upscaled.shape[2:])
        return masks, self.iou_prediction_head(tokens[:, 0])

    def own_tokens(self) -> Tensor:
        """[N,C]: those of the score and of the masks, first."""
        return torch.cat((self.iou_token.weight, self.mask_tokens.weight))

    def upscaled(self, pixels: Tensor, *_finer: Tensor) -> Tensor:
        """[B,C,h,w] to [B,C/8,4h,4w]."""
        return cast(Tensor, self.output_upscaling(pixels))


class TwoWayTransformer(nn.Module):
    """Tokens attend to the picture, and the picture to the tokens."""

    def __init__(self, config: MaskDecoderConfig, inner: Inner) -> None:
        super().__init__()
        self.layers = nn.ModuleList(TwoWayLayer(config, inner, first=number == 0) for number in range(config.layers))
        self.final_attn_token_to_image = Attention(config.width, config.heads, config.width // 2)
        self.norm_final_attn = nn.LayerNorm(config.width)

    def forward(self, tokens: Tensor, pixels: Tensor, places: Tensor, hidden: Tensor) -> tuple[Tensor, Tensor]:
        """[B,N,C] and [B,M,C] to the same; `places` [1,M,C] are added to keys and queries, `hidden` is a score bias."""
        asked = tokens
        for layer in self.layers:
            tokens, pixels = layer(tokens, pixels, asked, places, hidden)
        tokens = tokens + self.final_attn_token_to_image(tokens + asked, pixels + places, pixels)
        return self.norm_final_attn(tokens), pixels


class TwoWayLayer(nn.Module):
    """Post-norm layer; in the first one the tokens are their own places."""

    def __init__(self, config: MaskDecoderConfig, inner: Inner, first: bool) -> None:
        super().__init__()
        width, heads = config.width, config.heads
        self.first = first
        self.self_attn = Attention(width, heads, width)
        self.norm1 = nn.LayerNorm(width)
        self.cross_attn_token_to_image = Attention(width, heads, width // 2)
        self.norm2 = nn.LayerNorm(width)
        self.mlp = inner(width, config.feedforward)
        self.norm3 = nn.LayerNorm(width)
        self.norm4 = nn.LayerNorm(width)
        self.cross_attn_image_to_token = Attention(width, heads, width // 2)

    def forward(
        self, tokens: Tensor, pixels: Tensor, asked: Tensor, places: Tensor, hidden: Tensor
    ) -> tuple[Tensor, Tensor]:
        if self.first:
            tokens = self.norm1(self.self_attn(tokens, tokens, tokens, hidden))
        else:
            placed = tokens + asked
            tokens = self.norm1(tokens + self.self_attn(placed, placed, tokens, hidden))
        keys = pixels + places
        tokens = self.norm2(tokens + self.cross_attn_token_to_image(tokens + asked, keys, pixels))
        tokens = self.norm3(tokens + self.mlp(tokens))
        back = self.cross_attn_image_to_token(keys, tokens + asked, tokens, hidden)
        return tokens, self.norm4(pixels + back)


class Attention(nn.Module):
    """Attention whose inner width is a published share of the outer one."""

    def __init__(self, width: int, heads: int, inside: int) -> None:
        super().__init__()
        self.heads = heads
        self.q_proj = nn.Linear(width, inside)
        self.k_proj = nn.Linear(width, inside)
        self.v_proj = nn.Linear(width, inside)
        self.out_proj = nn.Linear(inside, width)

    def forward(self, query: Tensor, key: Tensor, value: Tensor, bias: Tensor | None = None) -> Tensor:
        """[B,L,C], [B,S,C], [B,S,C] to [B,L,C]; `bias` is added to the scores [B,heads,L,S]."""
        given = (self.q_proj(query), self.k_proj(key), self.v_proj(value))
        q, k, v = (split_heads(each, self.heads) for each in given)
        return cast(Tensor, self.out_proj(merge_heads(F.scaled_dot_product_attention(q, k, v, attn_mask=bias))))


class FeedForward(nn.Module):
    """Of a transformer's layer."""

    def __init__(self, width: int, inside: int) -> None:
        super().__init__()
        self.lin1 = nn.Linear(width, inside)
        self.lin2 = nn.Linear(inside, width)

    def forward(self, x: Tensor) -> Tensor:
        return cast(Tensor, self.lin2(F.relu(self.lin1(x))))


class Perceptron(nn.Module):
    """Linear layers from one size to the next, with a function between them."""

    def __init__(self, *sizes: int, between: Callable[[Tensor], Tensor] = F.relu) -> None:
        super().__init__()
        self.layers = nn.ModuleList(nn.Linear(*pair) for pair in pairwise(sizes))
        self.between = between

    def forward(self, x: Tensor) -> Tensor:
        first, *rest = self.layers
        x = first(x)
        for layer in rest:
            x = layer(self.between(x))
        return x
