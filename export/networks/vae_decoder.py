"""Stable Diffusion's VAE decoder (KL-f8): a latent to a picture."""

from collections.abc import Iterator
from pathlib import Path
from typing import cast

import numpy as np
from torch import Tensor, nn

from concord.scenes.scene import Scene
from concord.squash import squash_image
from export.half_precision import LATENT_DECODER
from export.network import Feeds, Network, NotPublished, Quantization
from export.networks import vae_encoder
from export.networks.latent_diffusion import LATENT, ONE_IMAGE, SEEN_SIDE, SMALL_RESULT, draw_latent, latent_axes
from export.onnx_file import session
from export.publication import exported


class ServedVaeDecoder(nn.Module):
    """Scaled latents FP32 [B,4,h,w] to images FP32 [B,3,8h,8w], nominally 0..1 and not clamped."""

    def __init__(self, decoder: nn.Module, post_quant_conv: nn.Module | None, scaling_factor: float) -> None:
        super().__init__()
        self.decoder = decoder
        self.post_quant_conv = post_quant_conv or nn.Identity()
        self.scaling_factor = scaling_factor

    def forward(self, latent: Tensor) -> Tensor:
        return cast(Tensor, self.decoder(self.post_quant_conv(latent / self.scaling_factor)) / 2 + 0.5)


def seen(scenes: Iterator[Scene], repository: Path, encoder: str = vae_encoder.NETWORK.name) -> Iterator[Feeds]:
    """The latents of scenes as they should be, by the model `encoder`."""
    encoding = session(exported(repository, encoder))
    for scene in scenes:
        [latent] = encoding.run(None, {"COMPOSITE": squash_image(scene.truth, SEEN_SIDE)[np.newaxis]})
        yield {"LATENT": latent[0]}


NETWORK = Network(
    name="vae_decoder",
    inputs=(LATENT,),
    outputs=(SMALL_RESULT,),
    draw=lambda batch, generator: (draw_latent(batch, generator),),
    axes=(latent_axes(),),
    golden=NotPublished("diffusers' own modules are exported, and the export is compared with them"),
    islands=(LATENT_DECODER,),
    quantization=Quantization("its last layer draws the picture", ends=True, transformer=False),
    seen=seen,
    windowed=True,
    serving=ONE_IMAGE,
)
