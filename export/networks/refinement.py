"""DiffHarmony's second stage: a UNet without time that sharpens the decoded result against the composite.

Zhou, Feng, Wang: "DiffHarmony: Latent Diffusion Model Meets Image Harmonization" (ICMR 2024). State-dict compatible
with the authors' `refinement/`, built on diffusers' UNet blocks.
"""

from dataclasses import dataclass
from typing import cast

from diffusers.models.unets.unet_2d_blocks import DownBlock2D, UNetMidBlock2D, UpBlock2D
from torch import Tensor, nn

EPSILON = 1e-6


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
            count = len(block.resnets)
            x = block(x, skips[-count:])
            skips = skips[:-count]
        return cast(Tensor, self.conv_out(self.conv_act(self.conv_norm_out(x))) + sample[:, :3])
