"""Stable Diffusion's VAE encoder (KL-f8): a composite to its latent."""

from collections.abc import Iterator
from pathlib import Path
from typing import cast

from diffusers import AutoencoderKL
from torch import Tensor, nn

from concord.scenes.scene import Scene
from concord.squash import LATENT_STRIDE, squash_image
from export.half_precision import NORMS, SOFTMAX
from export.network import Feeds, Network, NotPublished, Quantization, ServedTensor
from export.networks.latent_diffusion import (
    COMPOSITE,
    LATENT_CHANNELS,
    ONE_IMAGE,
    SEEN_SIDE,
    draw_composite,
    image_axes,
    signed,
)

KL_F8 = {
    "block_out_channels": (128, 256, 512, 512),
    "down_block_types": ("DownEncoderBlock2D",) * 4,
    "up_block_types": ("UpDecoderBlock2D",) * 4,
    "layers_per_block": 2,
}


class ServedVaeEncoder(nn.Module):
    """`composite` uint8 RGB [B,S,S,3] to the mode of its posterior FP32 [B,4,S/8,S/8], times the scaling factor."""

    def __init__(self, encoder: nn.Module, quant_conv: nn.Module | None, scaling_factor: float) -> None:
        super().__init__()
        self.encoder = encoder
        self.quant_conv = quant_conv or nn.Identity()
        self.scaling_factor = scaling_factor

    def forward(self, composite: Tensor) -> Tensor:
        moments = self.quant_conv(self.encoder(signed(composite)))
        return cast(Tensor, moments.chunk(2, dim=1)[0] * self.scaling_factor)


def seen(scenes: Iterator[Scene], _repository: Path) -> Iterator[Feeds]:
    """A scene's composite."""
    for scene in scenes:
        yield {"COMPOSITE": squash_image(scene.composite, SEEN_SIDE)}


NETWORK = Network(
    name="vae_encoder",
    inputs=(COMPOSITE,),
    outputs=(ServedTensor("COMPOSITE_LATENT", "FP32", (LATENT_CHANNELS, -1, -1), stride=LATENT_STRIDE),),
    draw=lambda batch, generator: (draw_composite(batch, generator),),
    axes=(image_axes(),),
    published={"sd_vae_kl_f8": lambda: AutoencoderKL(**KL_F8)},
    golden=NotPublished("diffusers' own modules are exported, and the export is compared with them"),
    islands=(NORMS, SOFTMAX),
    quantization=Quantization("what it gives is added to over all steps", ends=True, transformer=False),
    seen=seen,
    serving=ONE_IMAGE,
)
