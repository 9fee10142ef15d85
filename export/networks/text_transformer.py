"""The text encoder of latent diffusion's text-to-image model, under the keys of `cond_stage_model.transformer.*`.

Rombach et al. (2022): a transformer on word pieces that was trained with the model. Padding is attended to like words.
"""

from dataclasses import dataclass
from typing import cast

import torch.nn.functional as F
from torch import Tensor, nn

from concord.word_pieces import LENGTH
from export.networks.attention import merge_heads, split_heads

HEADS, HEAD_WIDTH = 8, 64  # whatever the width
EXPANSION = 4


@dataclass(frozen=True)
class TextTransformerConfig:
    """Sizes; the defaults are those of `text2img-large`, whose word pieces are those of `bert-base-uncased`."""

    pieces: int = 30522
    width: int = 1280
    layers: int = 32


class Attention(nn.Module):
    """[B,n,C] to the same, among themselves."""

    def __init__(self, width: int) -> None:
        super().__init__()
        inner = HEADS * HEAD_WIDTH
        self.to_q, self.to_k, self.to_v = (nn.Linear(width, inner, bias=False) for _ in range(3))
        self.to_out = nn.Linear(inner, width)

    def forward(self, x: Tensor) -> Tensor:
        query, key, value = (split_heads(project(x), HEADS) for project in (self.to_q, self.to_k, self.to_v))
        return cast(Tensor, self.to_out(merge_heads(F.scaled_dot_product_attention(query, key, value))))


class FeedForward(nn.Module):
    """[B,n,C] to the same, each by itself."""

    def __init__(self, width: int) -> None:
        super().__init__()
        inner = EXPANSION * width
        activated = nn.Sequential(nn.Linear(width, inner), nn.GELU())
        self.net = nn.Sequential(activated, nn.Identity(), nn.Linear(inner, width))  # a dropout in training

    def forward(self, x: Tensor) -> Tensor:
        return cast(Tensor, self.net(x))


class AttentionLayers(nn.Module):
    """Norms and what reads them, by turns attention and feed-forward, each added to what it read."""

    def __init__(self, config: TextTransformerConfig) -> None:
        super().__init__()
        kinds = (Attention, FeedForward)
        self.layers = nn.ModuleList(
            nn.ModuleList([nn.LayerNorm(config.width), kinds[number % 2](config.width)])
            for number in range(2 * config.layers)
        )

    def forward(self, x: Tensor) -> Tensor:
        for layer in self.layers:
            norm, block = cast(nn.ModuleList, layer)
            x = x + block(norm(x))
        return x


class Positions(nn.Module):
    """The learned positions [n,C]."""

    def __init__(self, config: TextTransformerConfig) -> None:
        super().__init__()
        self.emb = nn.Embedding(LENGTH, config.width)

    def forward(self, length: int) -> Tensor:
        return self.emb.weight[:length]


class TextTransformer(nn.Module):
    """Numbers of word pieces int64 [B,n] to their states [B,n,C]. `to_logits` is of the training alone."""

    def __init__(self, config: TextTransformerConfig) -> None:
        super().__init__()
        self.token_emb = nn.Embedding(config.pieces, config.width)
        self.pos_emb = Positions(config)
        self.attn_layers = AttentionLayers(config)
        self.norm = nn.LayerNorm(config.width)
        self.to_logits = nn.Linear(config.width, config.pieces)

    def forward(self, tokens: Tensor) -> Tensor:
        x = self.token_emb(tokens) + self.pos_emb(tokens.shape[1])
        return cast(Tensor, self.norm(self.attn_layers(x)))
