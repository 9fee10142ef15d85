"""Latent diffusion's super-resolution model `bsr_sr`: what its two networks have in common.

Rombach et al., "High-Resolution Image Synthesis with Latent Diffusion Models" (2022). State-dict compatible with the
authors' `model.ckpt`. The picture itself, which has the latent's size, is beside the noisy latent.
"""

from collections.abc import Collection
from dataclasses import dataclass
from functools import partial
from typing import cast

import torch
from torch import Tensor, nn

from concord.loops.ldm_sr import CHANNELS, UNIT, WINDOW
from export.ldm_checkpoint import AUTOENCODER, UNET, sampled
from export.network import SIDES, ServedTensor
from export.networks.latent_diffusion import latent_axes
from export.networks.ldm_unet import PlainLdmUnet, PlainLdmUnetConfig
from export.networks.vq_autoencoder import VqAutoencoder, VqConfig
from export.state_dict import StateDict

planes = partial(ServedTensor, kind="FP32", dims=(CHANNELS, -1, -1), stride=SIDES[-1] // WINDOW)
"""Of a window, which is the largest that an engine is built for."""
LATENT = planes("LATENT")


@dataclass(frozen=True)
class LdmSrConfig:
    """Sizes of both parts; the defaults are the published ones. `features` and `multiples` are of the autoencoder."""

    widths: tuple[int, ...] = (160, 320, 320, 640)
    head_width: int = 32
    features: int = 128
    multiples: tuple[int, ...] = (1, 2, 4)
    codes: int = 8192


SMALL = LdmSrConfig(widths=(32, 64, 64, 128), head_width=16, features=32, codes=512)  # of the published answers


class LdmSrNet(nn.Module):
    """Both parts under the published keys."""

    def __init__(self, config: LdmSrConfig) -> None:
        super().__init__()
        unet = PlainLdmUnetConfig(2 * CHANNELS, CHANNELS, config.widths, head_width=config.head_width)
        self.model = nn.ModuleDict({"diffusion_model": PlainLdmUnet(unet)})
        self.first_stage_model = VqAutoencoder(
            VqConfig(config.features, config.multiples, channels=CHANNELS, codes=config.codes, attends=True)
        )

    @property
    def unet(self) -> PlainLdmUnet:
        return cast(PlainLdmUnet, self.model["diffusion_model"])

    def forward(self, latent: Tensor, low_res: Tensor, timesteps: Tensor, z: Tensor) -> tuple[Tensor, Tensor]:
        """What the UNet and the autoencoder answer: the noise in a latent, and the picture of another, quantised."""
        autoencoder = self.first_stage_model
        noise = self.unet(torch.cat((latent, low_res), 1), timesteps)
        return noise, autoencoder.decode(autoencoder.quantize(z))


PUBLISHED = {"ldm_bsr_sr": lambda: LdmSrNet(LdmSrConfig()), "ldm_sr_small": lambda: LdmSrNet(SMALL)}
GOLDEN = ("ldm_sr_small",)
AXES = latent_axes(UNIT)


def claims(keys: Collection[str]) -> bool:
    """Whether a checkpoint with these keys is one of this model.

    Others of the family with a codebook attend at finer levels, are told a text, or do not attend in its middle.
    """
    wanted = (
        f"{UNET}input_blocks.3.0.op.weight",
        f"{UNET}input_blocks.10.1.qkv.weight",
        f"{AUTOENCODER}quantize.embedding.weight",
        f"{AUTOENCODER}decoder.mid.attn_1.q.weight",
    )
    return all(key in keys for key in wanted) and f"{UNET}input_blocks.7.1.qkv.weight" not in keys


SOURCE = StateDict(
    claims=claims,
    own=sampled,
    published=lambda _weights: LdmSrConfig(),
    build=LdmSrNet,
    served=lambda network: network,
)
