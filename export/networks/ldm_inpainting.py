"""Latent diffusion's inpainting model `inpainting_big`: what its three networks have in common.

Rombach et al., "High-Resolution Image Synthesis with Latent Diffusion Models" (2022). State-dict compatible with the
authors' `last.ckpt`. The latent of the picture without what is in the hole, and the hole, are beside the noisy latent.
"""

from collections.abc import Collection
from dataclasses import dataclass
from typing import cast

import torch
from torch import Generator, Tensor, nn

from concord.loops.ldm_inpainting import CHANNELS, STRIDE, LdmInpainting
from export.ldm_checkpoint import AUTOENCODER, UNET, sampled
from export.network import BATCH, ServedTensor, noise_image
from export.networks.latent_diffusion import HEIGHT, WIDTH
from export.networks.ldm_unet import LdmUnet, LdmUnetConfig
from export.networks.vq_autoencoder import VqAutoencoder, VqConfig
from export.state_dict import StateDict

UNIT = LdmInpainting.multiple // STRIDE  # of a latent's sides
SIZES = {1: (3, 2), 2: (2, 3), 3: (1, 2)}  # batch to height and width, in multiples, of what is checked with

LATENT = ServedTensor("LATENT", "FP32", (CHANNELS, -1, -1), stride=STRIDE)
CONDITION = ServedTensor("CONDITION", "FP32", (CHANNELS + 1, -1, -1), stride=STRIDE)


@dataclass(frozen=True)
class LdmInpaintingConfig:
    """Sizes of both parts; the defaults are the published ones. `features` and `multiples` are of the autoencoder."""

    widths: tuple[int, ...] = (256, 512, 768, 1024)
    heads: int = 8
    features: int = 128
    multiples: tuple[int, ...] = (1, 2, 4)
    codes: int = 8192


SMALL = LdmInpaintingConfig(widths=(32, 64, 96, 128), features=32, codes=512)  # of the published answers


class LdmInpaintingNet(nn.Module):
    """Both parts under the published keys."""

    def __init__(self, config: LdmInpaintingConfig) -> None:
        super().__init__()
        unet = LdmUnetConfig(2 * CHANNELS + 1, CHANNELS, config.widths, heads=config.heads)
        self.model = nn.ModuleDict({"diffusion_model": LdmUnet(unet)})
        self.first_stage_model = VqAutoencoder(
            VqConfig(config.features, config.multiples, channels=CHANNELS, codes=config.codes)
        )

    @property
    def unet(self) -> LdmUnet:
        return cast(LdmUnet, self.model["diffusion_model"])

    def forward(self, x: Tensor, timesteps: Tensor, image: Tensor, latent: Tensor) -> tuple[Tensor, ...]:
        """What the UNet and the autoencoder answer: noise, a latent, a quantised latent and its picture."""
        autoencoder = self.first_stage_model
        quantized = autoencoder.quantize(latent)
        return self.unet(x, timesteps), autoencoder.encode(image), quantized, autoencoder.decode(quantized)


PUBLISHED = {
    "ldm_inpainting_big": lambda: LdmInpaintingNet(LdmInpaintingConfig()),
    "ldm_inpainting_small": lambda: LdmInpaintingNet(SMALL),
}
GOLDEN = ("ldm_inpainting_small",)


class ServedEncoder(nn.Module):
    """`picture` uint8 RGB [B,H,W,3] and `hole` uint8 [B,H,W] of 0/1 to what the UNet is given [B,4,H/4,W/4].

    That is the latent of the picture, black in the hole, and -1 and 1 outside and in the hole, at the first of the
    pixels of each latent's.
    """

    def __init__(self, network: LdmInpaintingNet) -> None:
        super().__init__()
        found = network.first_stage_model
        self.encoder, self.quant_conv = found.encoder, found.quant_conv

    def forward(self, picture: Tensor, hole: Tensor) -> Tensor:
        mask = hole.to(torch.float32)[:, None]
        image = picture.to(torch.float32).permute(0, 3, 1, 2) / 255 * (1 - mask)
        latent = self.quant_conv(self.encoder(2 * image - 1))
        return torch.cat((latent, 2 * mask[:, :, ::STRIDE, ::STRIDE] - 1), 1)


def claims(keys: Collection[str]) -> bool:
    """Whether a checkpoint with these keys is one of this model; others with a codebook attend in the middle of it."""
    wanted = (f"{UNET}input_blocks.3.0.in_layers.0.weight", f"{AUTOENCODER}quantize.embedding.weight")
    return all(key in keys for key in wanted) and f"{AUTOENCODER}decoder.mid.attn_1.q.weight" not in keys


SOURCE = StateDict(
    claims=claims,
    own=sampled,
    published=lambda _weights: LdmInpaintingConfig(),
    build=LdmInpaintingNet,
    served=lambda network: network,
)


def latent_axes() -> dict[int, object]:
    """Dynamic axes of a latent."""
    return {0: BATCH, 2: UNIT * HEIGHT, 3: UNIT * WIDTH}


def picture_axes() -> dict[int, object]:
    """Dynamic axes of a picture or a hole."""
    return {0: BATCH, 1: LdmInpainting.multiple * HEIGHT, 2: LdmInpainting.multiple * WIDTH}


def draw_latent(batch: int, generator: Generator, channels: int = CHANNELS) -> Tensor:
    """FP32 [batch, channels, h, w], standard normal."""
    height, width = (UNIT * each for each in SIZES[batch])
    return torch.randn(batch, channels, height, width, generator=generator)


def draw_picture(batch: int, generator: Generator) -> tuple[Tensor, Tensor]:
    """Pictures uint8 [batch, H, W, 3] with holes uint8 [batch, H, W]: scattered ones, and a box in the last."""
    height, width = (LdmInpainting.multiple * each for each in SIZES[batch])
    picture = noise_image(batch, max(height, width), generator)[:, :height, :width].contiguous()
    hole = (torch.rand(batch, height, width, generator=generator) < 0.3).to(torch.uint8)
    hole[-1] = 0
    hole[-1, height // 4 : height // 2, width // 4 : width // 2] = 1
    return picture, hole
