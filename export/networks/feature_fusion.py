"""PHDiffusion's fusion of an adapter's features with a UNet's, as its checkpoints' `interact` has them.

Lu et al., "Painterly Image Harmonization using Diffusion Model" (ACM Multimedia 2023).
"""

from typing import cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from export.networks.attention import hide, merge_heads, split_heads

HEADS = 8
GROUPS = 32


class CrossAttention(nn.Module):
    """Attention of tokens [B,L,C] to others [B,S,C], of which a bias [B,1,1,S] of the scores hides some."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.to_q, self.to_k, self.to_v = (nn.Linear(width, width, bias=False) for _ in range(3))
        self.to_out = nn.ModuleList([nn.Linear(width, width)])

    def forward(self, queries: Tensor, seen: Tensor, bias: Tensor) -> Tensor:
        q, k, v = (split_heads(x, HEADS) for x in (self.to_q(queries), self.to_k(seen), self.to_v(seen)))
        return cast(Tensor, self.to_out[0](merge_heads(F.scaled_dot_product_attention(q, k, v, attn_mask=bias))))


class FusionBlock(nn.Module):
    """Features of an adapter [B,C,h,w], inside the mask fused with what the background's are, and the UNet's.

    `mask` [B,1,k*h,k*w] of 0 and 1 is read at the first of each k x k elements, as torch's `nearest` does.
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        self.norm = nn.GroupNorm(GROUPS, width, eps=1e-6)
        self.crossAtt_1, self.crossAtt_2 = CrossAttention(width), CrossAttention(width)
        self.fc = nn.Conv1d(2 * width, width, 1)
        self.conv1 = nn.Conv2d(width, width, 1)

    def forward(self, adapter: Tensor, unet: Tensor, mask: Tensor, stride: int) -> Tensor:
        inside = mask[:, :, ::stride, ::stride]
        bias = hide(inside.flatten(1) > 0)

        def attended(attention: CrossAttention, features: Tensor) -> Tensor:
            normal = self.norm(features)
            queries, seen = ((normal * where).flatten(2).transpose(1, 2) for where in (inside, 1 - inside))
            return cast(Tensor, attention(queries, seen, bias)).transpose(1, 2)

        both = torch.cat((attended(self.crossAtt_1, adapter), attended(self.crossAtt_2, unet)), 1)
        fused = self.conv1(self.fc(both).reshape(adapter.shape))
        return cast(Tensor, adapter * (1 - inside) + fused * inside)


class FeatureFusion(nn.ModuleList):
    """A block for each of the two coarsest levels of a UNet, with the keys of a checkpoint's `interact`."""

    def __init__(self, widths: tuple[int, ...]) -> None:
        super().__init__(map(FusionBlock, widths))

    def forward(
        self, fg_mask: Tensor, adapter0: Tensor, unet0: Tensor, adapter1: Tensor, unet1: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Both fused features, for a mask of the latent's size."""
        first, second = self
        return first(adapter0, unet0, fg_mask, 4), second(adapter1, unet1, fg_mask, 8)
