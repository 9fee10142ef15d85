"""Attention among the pixels of a map, under published keys, in the form of diffusers' module."""

from abc import ABC, abstractmethod
from collections.abc import Iterable

from diffusers.models.attention_processor import Attention
from torch import Tensor, nn


class MapAttention(nn.Module, ABC):
    """[B,C,h,w] to the same, with `norm` in front and `proj_out` behind, a convolution of one pixel."""

    norm: nn.GroupNorm
    proj_out: nn.Conv1d | nn.Conv2d

    @abstractmethod
    def ordinary(self) -> Attention:
        """The same as diffusers' module, which `export.runtime_form` rewrites for an engine."""

    def as_diffusers(self, heads: int, projections: Iterable[tuple[Tensor, Tensor]]) -> Attention:
        """That module, from weights [C,C] and biases [C] of the queries, the keys and the values."""
        channels = self.norm.num_channels
        found = Attention(
            channels,
            heads=heads,
            dim_head=channels // heads,
            bias=True,
            norm_num_groups=self.norm.num_groups,
            eps=self.norm.eps,
            residual_connection=True,
        )
        for layer, (weight, bias) in zip((found.to_q, found.to_k, found.to_v), projections, strict=True):
            layer.load_state_dict({"weight": weight, "bias": bias})
        last = self.proj_out
        found.to_out[0].load_state_dict({"weight": last.weight.flatten(1), "bias": last.bias})
        found.group_norm.load_state_dict(self.norm.state_dict())
        return found.eval()


def with_ordinary_attention(network: nn.Module) -> None:
    """Replaces, in place, each `MapAttention` below a network by diffusers' module with its weights."""
    for module in list(network.modules()):
        for name, child in list(module.named_children()):
            if isinstance(child, MapAttention):
                setattr(module, name, child.ordinary())
