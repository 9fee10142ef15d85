"""DiffHarmony's second stage: a UNet without time that sharpens the decoded result against the composite.

Zhou, Feng, Wang: "DiffHarmony: Latent Diffusion Model Meets Image Harmonization" (ICMR 2024). State-dict compatible
with the authors' `refinement/`, built on diffusers' UNet blocks.
"""

from dataclasses import dataclass, replace
from typing import Any, cast

import torch
from diffusers.models.unets.unet_2d_blocks import DownBlock2D, UNetMidBlock2D, UpBlock2D
from torch import Tensor, nn

from concord.repository.profiles import EXACT
from export.checkpoint import CheckpointError, with_sizes
from export.diffusers_folder import DiffusersFolder
from export.half_precision import NORMS, SOFTMAX
from export.network import Network, ServedTensor
from export.networks import vae_encoder
from export.networks.latent_diffusion import (
    COMPOSITE,
    COMPOSITE_MASK,
    ONE_IMAGE,
    SMALL_RESULT,
    draw_composite,
    draw_mask,
    image_axes,
    signed,
)

EPSILON = 1e-6
CHANNELS = (3, 4, 7)  # what it may see: the result, and the mask, and the composite


@dataclass(frozen=True)
class RefinementConfig:
    """Sizes of a refinement network, named as in its config.json; the defaults are the published base size.

    `in_channels`: 3 (result), 4 (and mask) or 7 (and composite).
    """

    in_channels: int = 7
    block_out_channels: tuple[int, ...] = (128, 256, 512, 512)
    layers_per_block: int = 2
    norm_num_groups: int = 32


class Refinement(nn.Module):
    """Called with [B,in_channels,S,S]: result in -1..1, mask of 0/1, composite in -1..1; answers [B,3,S,S] in -1..1."""

    def __init__(self, config: RefinementConfig) -> None:
        super().__init__()
        widths, layers, groups = config.block_out_channels, config.layers_per_block, config.norm_num_groups
        common = {"temb_channels": None, "resnet_eps": EPSILON, "resnet_groups": groups, "resnet_act_fn": "silu"}
        last = len(widths) - 1
        self.conv_in = nn.Conv2d(config.in_channels, widths[0], 3, padding=1)
        self.down_blocks = nn.ModuleList(
            DownBlock2D(
                in_channels=widths[max(level - 1, 0)],
                out_channels=width,
                num_layers=layers,
                add_downsample=level < last,
                downsample_padding=0,
                **common,
            )
            for level, width in enumerate(widths)
        )
        self.mid_block = UNetMidBlock2D(in_channels=widths[-1], attention_head_dim=widths[-1], **common)
        up = widths[::-1]
        self.up_blocks = nn.ModuleList(
            UpBlock2D(
                in_channels=up[min(level + 1, last)],
                prev_output_channel=up[max(level - 1, 0)],
                out_channels=width,
                num_layers=layers + 1,
                add_upsample=level < last,
                **common,
            )
            for level, width in enumerate(up)
        )
        self.conv_norm_out = nn.GroupNorm(groups, widths[0], eps=EPSILON)
        self.conv_act = nn.SiLU()
        self.conv_out = nn.Conv2d(widths[0], 3, 3, padding=1)

    def forward(self, sample: Tensor) -> Tensor:
        x = self.conv_in(sample)
        skips: tuple[Tensor, ...] = (x,)
        for block in self.down_blocks:
            x, states = block(x)
            skips += states
        x = self.mid_block(x)
        for block in self.up_blocks:
            count = len(cast(nn.ModuleList, block.resnets))
            x = block(x, skips[-count:])
            skips = skips[:-count]
        return cast(Tensor, self.conv_out(self.conv_act(self.conv_norm_out(x))) + sample[:, :3])


class ServedRefinement(nn.Module):
    """`result` FP32 [B,3,S,S] in 0..1, `composite` uint8 RGB [B,S,S,3], `mask` uint8 [B,S,S] of 0/1 to a new result.

    The network's own channels decide what it sees: 3 the result, 4 and the mask, 7 and the composite. Answers 0..1
    nominally, not clamped.
    """

    def __init__(self, network: nn.Module, config: RefinementConfig) -> None:
        super().__init__()
        self.network = network
        self.channels = config.in_channels

    def forward(self, result: Tensor, composite: Tensor, mask: Tensor) -> Tensor:
        sample = torch.cat((result * 2 - 1, mask.to(torch.float32)[:, None], signed(composite)), 1)
        return cast(Tensor, self.network(sample[:, : self.channels]) / 2 + 0.5)


def sizes(config: dict[str, Any] | None, weights: dict[str, Tensor]) -> RefinementConfig:
    """Those of `config.json`; without one, the published ones that the weights fit best.

    Raises:
        CheckpointError: it sees another number of channels than any published one.
    """
    first = weights.get("conv_in.weight")
    if config is None and first is not None and first.ndim == 4:
        base = RefinementConfig().block_out_channels
        config = {
            "in_channels": first.shape[1],
            "block_out_channels": [width * first.shape[0] // base[0] for width in base],
        }
    found = with_sizes(RefinementConfig(), config or {})
    if found.in_channels not in CHANNELS:
        raise CheckpointError(f"its config has {found.in_channels} in_channels; a refinement network has 3, 4 or 7")
    return found


NETWORK = Network(
    name="refinement",
    inputs=(ServedTensor("RESULT", "FP32", (3, -1, -1)), COMPOSITE, COMPOSITE_MASK),
    outputs=(SMALL_RESULT,),
    draw=lambda batch, generator: (
        draw_composite(batch, generator).permute(0, 3, 1, 2) / 255,
        draw_composite(batch, generator),
        draw_mask(batch, generator),
    ),
    axes=(image_axes(height=2), image_axes(), image_axes()),
    source=DiffusersFolder(
        claims=lambda keys: "mid_block.resnets.0.conv1.weight" in keys and "time_embedding.linear_1.weight" not in keys,
        sizes=sizes,
        build=Refinement,
        served=ServedRefinement,
    ),
    companion_of=vae_encoder.NETWORK.name,
    published={
        "diffharmony_stage2_small": lambda: Refinement(RefinementConfig(block_out_channels=(64, 128, 256, 256))),
        "diffharmony_stage2_base": lambda: Refinement(RefinementConfig()),
        "diffharmony_stage2_large": lambda: Refinement(RefinementConfig(block_out_channels=(256, 512, 1024, 1024))),
    },
    golden=("diffharmony_stage2_base",),
    islands=(NORMS, SOFTMAX),
    serving=replace(ONE_IMAGE, profiles=EXACT),
)
