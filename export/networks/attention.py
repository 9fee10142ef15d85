"""Attention and transformer layers that the published networks share, with torch's own packed parameter names."""

from typing import cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

# Added to the score of a key that must not be seen. Its exponential is 0 in FP32 as with -inf, but a row in which every
# key is hidden stays finite, and FP16 can hold it.
HIDDEN = -1e4
LONG = 1024
"""Tokens from which on the scores of all pairs are too many to be held in a processor's cache."""


class MultiHeadAttention(nn.Module):
    """Attention with the parameter layout of `torch.nn.MultiheadAttention`, batch first, without attention weights."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.in_proj_weight = nn.Parameter(torch.empty(3 * width, width))
        self.in_proj_bias = nn.Parameter(torch.zeros(3 * width))
        self.out_proj = nn.Linear(width, width)
        nn.init.xavier_uniform_(self.in_proj_weight)
        nn.init.zeros_(self.out_proj.bias)

    def forward(self, query: Tensor, key: Tensor, value: Tensor, bias: Tensor | None = None) -> Tensor:
        """Attend.

        Args:
            query: [B, L, width]; key, value: [B, S, width].
            bias: added to the scores, broadcast to [B, heads, L, S].

        Returns:
            [B, L, width].
        """
        weights = self.in_proj_weight.chunk(3)
        biases = self.in_proj_bias.chunk(3)
        q, k, v = (F.linear(x, w, b) for x, w, b in zip((query, key, value), weights, biases, strict=True))
        if bias is None and key.shape[1] >= LONG and torch.compiler.is_exporting():
            return cast(Tensor, self.out_proj(fused_attention(q, k, v, self.heads, (q.shape[2] // self.heads) ** -0.5)))
        q, k, v = (split_heads(x, self.heads) for x in (q, k, v))
        return cast(Tensor, self.out_proj(merge_heads(F.scaled_dot_product_attention(q, k, v, attn_mask=bias))))


def fused_attention(query: Tensor, key: Tensor, value: Tensor, heads: int, scale: float) -> Tensor:
    """[B, L, C], [B, S, C], [B, S, C] to [B, L, C], as an operator of ONNX Runtime that never holds all scores.

    Nothing but an export runs it.
    """
    return torch.onnx.ops.symbolic(
        "com.microsoft::MultiHeadAttention",
        (query, key, value),
        {"num_heads": heads, "scale": scale},
        dtype=query.dtype,
        shape=(*query.shape[:2], value.shape[2]),
        version=1,
    )


def split_heads(x: Tensor, heads: int) -> Tensor:
    """[B, L, C] to [B, heads, L, C / heads]."""
    return cast(Tensor, x.unflatten(-1, (heads, x.shape[-1] // heads))).transpose(1, 2)


def merge_heads(x: Tensor) -> Tensor:
    """[B, heads, L, C] to [B, L, heads * C]."""
    return x.transpose(1, 2).flatten(2)


def hide(hidden: Tensor) -> Tensor:
    """Score bias [B, 1, 1, S] that hides keys, from a bool [B, S] that is true where a key is hidden.

    A row whose keys are all hidden hides none: attention over nothing has no answer, and the published code gives NaN.
    """
    seen = hidden.to(torch.float32)
    some_visible = 1 - seen.amin(dim=1, keepdim=True)
    return (seen * some_visible * HIDDEN)[:, None, None, :]


class EncoderLayer(nn.Module):
    """Post-norm DETR encoder layer with the exact (erf) GELU; positions are added to queries and keys only."""

    def __init__(self, width: int, heads: int, feedforward: int) -> None:
        super().__init__()
        self.self_attn = MultiHeadAttention(width, heads)
        self.linear1 = nn.Linear(width, feedforward)
        self.linear2 = nn.Linear(feedforward, width)
        self.norm1 = nn.LayerNorm(width)
        self.norm2 = nn.LayerNorm(width)

    def forward(self, x: Tensor, position: Tensor | None, bias: Tensor | None = None) -> Tensor:
        """[B, L, width] to the same; `position` [1, L, width] or none, `bias` as in `MultiHeadAttention`."""
        q = x if position is None else x + position
        x = self.norm1(x + self.self_attn(q, q, x, bias))
        return cast(Tensor, self.norm2(x + self.linear2(F.gelu(self.linear1(x)))))


class DecoderLayer(nn.Module):
    """Post-norm DETR decoder layer: self-attention, attention to a memory, feed-forward."""

    def __init__(self, width: int, heads: int, feedforward: int) -> None:
        super().__init__()
        self.self_attn = MultiHeadAttention(width, heads)
        self.multihead_attn = MultiHeadAttention(width, heads)
        self.linear1 = nn.Linear(width, feedforward)
        self.linear2 = nn.Linear(feedforward, width)
        self.norm1 = nn.LayerNorm(width)
        self.norm2 = nn.LayerNorm(width)
        self.norm3 = nn.LayerNorm(width)

    def forward(
        self,
        x: Tensor,
        memory: Tensor,
        position: Tensor,
        memory_position: Tensor | None = None,
        bias: Tensor | None = None,
    ) -> Tensor:
        """[B, L, width] to the same; `memory` [B, S, width]; `bias` is added to the scores of the memory."""
        keys = memory if memory_position is None else memory + memory_position
        q = x + position
        x = self.norm1(x + self.self_attn(q, q, x))
        x = self.norm2(x + self.multihead_attn(x + position, keys, memory, bias))
        return cast(Tensor, self.norm3(x + self.linear2(F.gelu(self.linear1(x)))))
