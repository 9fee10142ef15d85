"""Harmony-VAE: the condition VAE of DiffHarmony++, whose decoder is helped by features of the composite.

Zhou, Feng, Wang: "DiffHarmony++: Enhancing Image Harmonization with Harmony-VAE and Inverse Harmonization Model" (ACM
Multimedia 2024). State-dict compatible with the authors' `condition_vae/`, built on diffusers' VAE blocks.
"""

from dataclasses import dataclass, replace
from typing import Any, cast

import torch
from diffusers.models.autoencoders.vae import Decoder, Encoder
from torch import Tensor, nn

from concord.repository.profiles import EXACT
from export.checkpoint import with_sizes
from export.diffusers_folder import DiffusersFolder
from export.half_precision import LATENT_DECODER
from export.network import Network
from export.networks import vae_encoder
from export.networks.latent_diffusion import (
    COMPOSITE,
    COMPOSITE_MASK,
    LATENT,
    ONE_IMAGE,
    SMALL_RESULT,
    draw_composite,
    draw_latent,
    draw_mask,
    image_axes,
    latent_axes,
    signed,
)


@dataclass(frozen=True)
class ConditionVaeConfig:
    """Sizes of a Harmony-VAE, named as in diffusers' config.json; the defaults are the published ones."""

    block_out_channels: tuple[int, ...] = (128, 256, 512, 512)
    layers_per_block: int = 2
    latent_channels: int = 4
    norm_num_groups: int = 32
    scaling_factor: float = 0.18215

    def blocks(self, kind: str) -> dict[str, Any]:
        """Arguments that diffusers' Encoder and Decoder share, for blocks of the type `kind`."""
        return {
            "block_out_channels": self.block_out_channels,
            "layers_per_block": self.layers_per_block,
            "norm_num_groups": self.norm_num_groups,
            ("down_block_types" if kind.startswith("Down") else "up_block_types"): (kind,)
            * len(self.block_out_channels),
        }


class ConditionVae(nn.Module):
    """Called with latents [B,4,h,w], not scaled, and a condition [B,4,8h,8w]: composite in -1..1, then mask of 0/1.

    Posteriors are taken at their mode, where the authors draw a sample.
    """

    def __init__(self, config: ConditionVaeConfig) -> None:
        super().__init__()
        latent = config.latent_channels
        down = config.blocks("DownEncoderBlock2D")
        self.encoder = Encoder(in_channels=3, out_channels=latent, **down)
        self.conditional_encoder = ConditionalEncoder(config)
        self.decoder = Decoder(in_channels=latent, out_channels=3, **config.blocks("UpDecoderBlock2D"))
        self.quant_conv = nn.Conv2d(2 * latent, 2 * latent, 1)
        self.post_quant_conv = nn.Conv2d(latent, latent, 1)
        self.latent_skip_conv = nn.Conv2d(latent, latent, 1)

    def forward(self, latent: Tensor, condition: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """The decoded image [B,3,8h,8w] in -1..1, and the modes of the conditional and the plain encoder [B,4,h,w]."""
        condition_mode, skips, mid_skip = self.encode_condition(condition)
        image = self.decode_with(latent, condition_mode, skips, mid_skip)
        return image, condition_mode, self.mode(self.encoder(condition[:, :3]))

    def decode(self, latent: Tensor, condition: Tensor) -> Tensor:
        """The decoded image alone."""
        return self.decode_with(latent, *self.encode_condition(condition))

    def encode_condition(self, condition: Tensor) -> tuple[Tensor, list[Tensor], Tensor]:
        """Mode of the condition, and the skips for the decoder's resnets and middle."""
        moments, skips, mid_skip = self.conditional_encoder(condition)
        return self.mode(moments), skips, mid_skip

    def mode(self, moments: Tensor) -> Tensor:
        return cast(Tensor, self.quant_conv(moments).chunk(2, dim=1)[0])

    def decode_with(self, latent: Tensor, condition_mode: Tensor, skips: list[Tensor], mid_skip: Tensor) -> Tensor:
        decoder, waiting = self.decoder, list(skips)
        x = self.post_quant_conv(latent) + self.latent_skip_conv(self.post_quant_conv(condition_mode))
        x = decoder.mid_block(decoder.conv_in(x)) + mid_skip
        for block in decoder.up_blocks:
            for resnet in block.resnets:
                x = resnet(x, None) + waiting.pop()
            for upsampler in block.upsamplers or ():
                x = upsampler(x)
        return cast(Tensor, decoder.conv_out(decoder.conv_act(decoder.conv_norm_out(x))))


class ConditionalEncoder(Encoder):  # type: ignore[misc]
    """An encoder that also sees the mask and gives every feature map, through a 1x1 convolution, to the decoder."""

    def __init__(self, config: ConditionVaeConfig) -> None:
        super().__init__(in_channels=3, out_channels=config.latent_channels, **config.blocks("DownEncoderBlock2D"))
        widths, layers = config.block_out_channels, config.layers_per_block
        self.add_conv_in = nn.Conv2d(1, widths[0], 3, padding=1)
        # Feature maps on the way down: the first convolution, then every resnet and downsampler. On the way up each
        # block has one resnet more, so the map behind a downsampler goes to the block of the resolution it has.
        found = [widths[0]]
        for level, width in enumerate(widths):
            found += [width] * (layers + (level < len(widths) - 1))
        wanted = [width for width in widths for _ in range(layers + 1)]
        self.down_block_skip_convs = nn.ModuleList(
            nn.Conv2d(here, there, 1) for here, there in zip(found, wanted, strict=True)
        )
        self.mid_block_skip_conv = nn.Conv2d(widths[-1], widths[-1], 1)

    def forward(self, condition: Tensor) -> tuple[Tensor, list[Tensor], Tensor]:
        """Moments [B,8,h,w] before `quant_conv`, skips from fine to coarse, skip of the middle."""
        x = self.conv_in(condition[:, :3]) + self.add_conv_in(condition[:, 3:])
        maps = [x]
        for block in self.down_blocks:
            for layer in (*block.resnets, *(block.downsamplers or ())):
                x = layer(x, None) if layer in block.resnets else layer(x)
                maps.append(x)
        x = self.mid_block(x)
        skips = [conv(found) for conv, found in zip(self.down_block_skip_convs, maps, strict=True)]
        return self.conv_out(self.conv_act(self.conv_norm_out(x))), skips, self.mid_block_skip_conv(x)


class ServedHarmonyVae(nn.Module):
    """Scaled latents and the composite they belong to, to images FP32 [B,3,8h,8w], nominally 0..1.

    `composite` uint8 RGB [B,8h,8w,3]; `mask` uint8 [B,8h,8w] of 0/1.
    """

    def __init__(self, network: ConditionVae, config: ConditionVaeConfig) -> None:
        super().__init__()
        self.network = network
        self.scaling_factor = config.scaling_factor

    def forward(self, latent: Tensor, composite: Tensor, mask: Tensor) -> Tensor:
        condition = torch.cat((signed(composite), mask.to(torch.float32)[:, None]), 1)
        return self.network.decode(latent / self.scaling_factor, condition) / 2 + 0.5


NETWORK = Network(
    name="harmony_vae",
    inputs=(LATENT, COMPOSITE, COMPOSITE_MASK),
    outputs=(SMALL_RESULT,),
    draw=lambda batch, generator: (
        draw_latent(batch, generator),
        draw_composite(batch, generator),
        draw_mask(batch, generator),
    ),
    axes=(latent_axes(), image_axes(), image_axes()),
    source=DiffusersFolder(
        claims=lambda keys: "conditional_encoder.add_conv_in.weight" in keys,
        sizes=lambda config, _weights: with_sizes(ConditionVaeConfig(), config or {}),
        build=ConditionVae,
        served=ServedHarmonyVae,
    ),
    companion_of=vae_encoder.NETWORK.name,
    published={"harmony_vae": lambda: ConditionVae(ConditionVaeConfig())},
    golden=("harmony_vae",),
    islands=(LATENT_DECODER,),
    serving=replace(ONE_IMAGE, profiles=EXACT),
)
