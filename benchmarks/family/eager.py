"""The networks of the family in PyTorch, at their published sizes and with random weights.

Each is diffusers' own class where the network is one of diffusers', or else the torch network that has the published
keys. All take the served inputs, and hold nothing of the other networks of their pipeline.
"""

from typing import Any, cast

import torch
from diffusers import AutoencoderKL, UNet2DConditionModel, UNet2DModel, VQModel
from diffusers.pipelines.latent_diffusion.pipeline_latent_diffusion import LDMBertConfig, LDMBertModel
from torch import Tensor, nn

from benchmarks.family.networks import TEXT_UNET
from benchmarks.floors.published import TOKENS
from export.networks.compvis_unet import CompVisUnetConfig
from export.networks.ldm_sr import LdmSrConfig
from export.networks.ldm_text2img import WIDTH
from export.networks.ldm_unet import LdmUnet, LdmUnetConfig, ServedLdmUnet
from export.networks.phdiffusion_unet import PaintingUnet, ServedPaintingUnet
from export.networks.text_unet import ServedTextUnet
from export.networks.vae_decoder import ServedVaeDecoder
from export.networks.vae_encoder import KL_F8
from export.networks.vq_autoencoder import VqConfig


class Denoising(nn.Module):
    """diffusers' UNet without text, beside whose latent the condition is."""

    def __init__(self, network: UNet2DModel) -> None:
        super().__init__()
        self.network: Any = network

    def forward(self, latent: Tensor, timestep: Tensor, condition: Tensor) -> Tensor:
        return cast(Tensor, self.network(torch.cat((latent, condition), 1), timestep[:, 0], return_dict=False)[0])


class Decoding(nn.Module):
    """diffusers' autoencoder with a codebook, of which a latent is quantised and decoded."""

    def __init__(self, network: VQModel) -> None:
        super().__init__()
        self.network: Any = network

    def forward(self, latent: Tensor) -> Tensor:
        return cast(Tensor, self.network.decode(latent, return_dict=False)[0] / 2 + 0.5)


class Reading(nn.Module):
    """diffusers' text encoder of latent diffusion."""

    def __init__(self, network: LDMBertModel) -> None:
        super().__init__()
        self.network: Any = network

    def forward(self, tokens: Tensor) -> Tensor:
        return cast(Tensor, self.network(tokens)[0])


def phdiffusion_unet() -> nn.Module:
    config = CompVisUnetConfig()
    return ServedPaintingUnet(PaintingUnet(config), torch.randn(TOKENS, config.context))


def ldm_inpainting_unet() -> nn.Module:
    return ServedLdmUnet(LdmUnet(LdmUnetConfig()))


def text2img_unet() -> nn.Module:
    return ServedTextUnet(UNet2DConditionModel(**TEXT_UNET | {"cross_attention_dim": WIDTH}), WIDTH)


def ldm_sr_unet() -> nn.Module:
    sizes = LdmSrConfig()
    finer = len(sizes.widths) - 1
    network: Any = UNet2DModel(
        in_channels=6,
        out_channels=3,
        block_out_channels=sizes.widths,
        layers_per_block=2,
        attention_head_dim=sizes.head_width,
        down_block_types=("DownBlock2D",) * finer + ("AttnDownBlock2D",),
        up_block_types=("AttnUpBlock2D",) + ("UpBlock2D",) * finer,
    )
    return Denoising(network)


def text2img_text_encoder() -> nn.Module:
    return Reading(LDMBertModel(LDMBertConfig()))


def kl_decoder() -> nn.Module:
    found: Any = AutoencoderKL(**KL_F8)
    return ServedVaeDecoder(found.decoder, found.post_quant_conv, found.config.scaling_factor)


def vq_decoder() -> nn.Module:
    sizes = VqConfig()
    levels = len(sizes.multiples)
    network: Any = VQModel(
        block_out_channels=tuple(sizes.width * multiple for multiple in sizes.multiples),
        down_block_types=("DownEncoderBlock2D",) * levels,
        up_block_types=("UpDecoderBlock2D",) * levels,
        layers_per_block=sizes.layers,
        num_vq_embeddings=sizes.codes,
        mid_block_add_attention=sizes.attends,
    )
    return Decoding(network)
