"""Exact rewrites of diffusers' modules, in place, into forms that ONNX Runtime keeps small and runs fast.

Attention becomes one operator that never holds the matrix of scores (at 1024 pixels a Stable Diffusion UNet's would
take 8.6 GB), linear layers keep their weights as the product wants them, and what the text of a constant prompt gives
to every cross-attention is computed once.
"""

import math
from dataclasses import dataclass
from typing import Any, Literal, cast

import torch
import torch.nn.functional as F
from diffusers.models.activations import GEGLU
from diffusers.models.attention_processor import Attention
from torch import Tensor, nn

from export.checkpoint import CheckpointError
from export.networks.attention import fused_attention
from export.winograd import rewrite_convolutions


@dataclass(frozen=True)
class Form:
    """What a graph is made of.

    `attention`: "fused" is ONNX Runtime's MultiHeadAttention, on CPU and CUDA; "plain" are standard operators only,
    which other runtimes (TensorRT) fuse themselves. `convolution`: "winograd" for processors, "direct" for GPUs.
    """

    attention: Literal["fused", "plain"] = "fused"
    convolution: Literal["winograd", "direct"] = "winograd"


def rewrite(network: nn.Module, form: Form, direct: frozenset[str] = frozenset()) -> None:
    """Rewrite attention, linear layers and convolutions below `network`, not convolutions in modules named `direct`.

    A layer of a kind that Stable Diffusion does not have is left as it is.
    """
    if form.convolution == "winograd":
        rewrite_convolutions(network, direct)
    for module in network.modules():
        if isinstance(module, Attention) and is_ordinary(module):
            module.set_processor(Processor(form))
    for module in list(network.modules()):
        for name, child in module.named_children():
            if isinstance(child, GEGLU):
                setattr(module, name, GatedLinear(child))
            elif type(child) is nn.Linear:
                setattr(module, name, TransposedLinear(child.weight, child.bias))


def fold_text(network: nn.Module, states: Tensor) -> None:
    """Replace the key and value projections of every cross-attention by their answers to `states` [n, d]."""
    for module in network.modules():
        if isinstance(module, Attention) and module.is_cross_attention:
            if not is_ordinary(module):
                raise CheckpointError("the UNet has a cross-attention whose keys cannot be folded into constants")
            with torch.no_grad():
                for name in ("to_k", "to_v"):
                    setattr(module, name, Constant(getattr(module, name)(states)))


def is_ordinary(attention: Attention) -> bool:
    """Whether queries, keys and values are plain projections of the tokens, attended to without a mask."""
    return not any(
        getattr(attention, name, None) is not None
        for name in ("spatial_norm", "norm_q", "norm_k", "add_k_proj", "add_q_proj")
    )


class Constant(nn.Module):
    """Answers [B, n, d] with the same rows [n, d] whatever it is called with."""

    def __init__(self, rows: Tensor) -> None:
        super().__init__()
        self.register_buffer("rows", rows)

    def forward(self, tokens: Tensor) -> Tensor:
        return cast(Tensor, self.rows).expand(tokens.shape[0], -1, -1)


class TransposedLinear(nn.Module):
    """A linear layer that holds [in, out], so that the graph needs no Transpose of the weights."""

    def __init__(self, weight: Tensor, bias: Tensor | None) -> None:
        super().__init__()
        self.weight = nn.Parameter(weight.detach().T.contiguous(), requires_grad=False)
        self.bias = None if bias is None else nn.Parameter(bias.detach(), requires_grad=False)

    def forward(self, x: Tensor) -> Tensor:
        product = torch.matmul(x, self.weight)
        return product if self.bias is None else product + self.bias


class GatedLinear(nn.Module):
    """GEGLU as two layers instead of a split one, and GELU in the order of operations that ONNX Runtime fuses."""

    def __init__(self, gated: GEGLU) -> None:
        super().__init__()
        weights, bias = gated.proj.weight.chunk(2), gated.proj.bias
        biases = (None, None) if bias is None else bias.chunk(2)
        self.value, self.gate = (TransposedLinear(w, b) for w, b in zip(weights, biases, strict=True))

    def forward(self, x: Tensor) -> Tensor:
        gate = self.gate(x)
        return cast(Tensor, self.value(x) * (gate * 0.5 * (torch.erf(gate / math.sqrt(2)) + 1)))


class Processor:
    """What diffusers' `AttnProcessor` computes, for `Attention` modules without masks.

    Tokens [B, L, C] or maps [B, C, H, W] in, the same out.
    """

    def __init__(self, form: Form) -> None:
        self.attend = fused_attention if form.attention == "fused" else plain_attention

    def __call__(
        self,
        attention: Attention,
        hidden_states: Tensor,
        encoder_hidden_states: Tensor | None = None,
        attention_mask: Tensor | None = None,
        temb: Tensor | None = None,
        **_unused: Any,
    ) -> Tensor:
        assert attention_mask is None
        x = hidden_states.flatten(2).transpose(1, 2) if hidden_states.ndim == 4 else hidden_states
        if attention.group_norm is not None:
            x = attention.group_norm(x.transpose(1, 2)).transpose(1, 2)
        context = x if encoder_hidden_states is None else encoder_hidden_states
        if attention.norm_cross and encoder_hidden_states is not None:
            context = attention.norm_encoder_hidden_states(context)
        attended = self.attend(
            attention.to_q(x), attention.to_k(context), attention.to_v(context), attention.heads, attention.scale
        )
        x = attention.to_out[0](attended)
        if hidden_states.ndim == 4:
            x = x.transpose(1, 2).unflatten(2, hidden_states.shape[2:])
        if attention.residual_connection:
            x = x + hidden_states
        return cast(Tensor, x / attention.rescale_output_factor)


def plain_attention(query: Tensor, key: Tensor, value: Tensor, heads: int, scale: float) -> Tensor:
    """The same in standard operators."""
    q, k, v = (x.unflatten(-1, (heads, -1)).transpose(1, 2) for x in (query, key, value))
    return F.scaled_dot_product_attention(q, k, v, scale=scale).transpose(1, 2).flatten(2)
