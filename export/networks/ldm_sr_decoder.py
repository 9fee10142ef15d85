"""The decoder of latent diffusion's super-resolution model: a latent, by its nearest codes, to the enlarged picture."""

from collections.abc import Iterator
from pathlib import Path

from concord.scenes.scene import Scene
from export.half_precision import LATENT_DECODER
from export.network import Feeds, Network, Quantization, ServedTensor
from export.networks import ldm_sr_unet
from export.networks.latent_diffusion import ONE_IMAGE
from export.networks.ldm_inpainting import draw_latent
from export.networks.ldm_sr import AXES, GOLDEN, LATENT, PUBLISHED


def seen(scenes: Iterator[Scene], repository: Path) -> Iterator[Feeds]:
    """The latents of enlarged pictures of scenes."""
    for *_, latent in ldm_sr_unet.drawn(scenes, repository):
        yield latent


NETWORK = Network(
    name="ldm_sr_decoder",
    inputs=(LATENT,),
    outputs=(ServedTensor("DRAWN", "FP32", (3, -1, -1)),),
    draw=lambda batch, generator: (draw_latent(batch, generator),),
    axes=(AXES,),
    published=PUBLISHED,
    golden=GOLDEN,
    islands=(LATENT_DECODER,),
    quantization=Quantization("its last layer draws the picture", ends=True, transformer=False),
    seen=seen,
    serving=ONE_IMAGE,
)
