"""The decoder of latent diffusion's inpainting model: a latent, by its nearest codes, to a picture."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from concord.loops.ldm_inpainting import CHANNELS
from concord.scenes.scene import Scene
from export.half_precision import LATENT_DECODER
from export.network import Feeds, Network, Quantization, ServedTensor
from export.networks import ldm_inpainting_encoder
from export.networks.latent_diffusion import ONE_IMAGE
from export.networks.ldm_inpainting import GOLDEN, LATENT, PUBLISHED, draw_latent, latent_axes
from export.onnx_file import session
from export.publication import exported


def seen(scenes: Iterator[Scene], repository: Path) -> Iterator[Feeds]:
    """The latents of whole scenes."""
    encoder = session(exported(repository, ldm_inpainting_encoder.NETWORK.name))
    for given in ldm_inpainting_encoder.seen(scenes, repository):
        whole = {"PICTURE": given["PICTURE"][np.newaxis], "HOLE": np.zeros_like(given["HOLE"])[np.newaxis]}
        [condition] = encoder.run(None, whole)
        yield {"LATENT": condition[0, :CHANNELS]}


NETWORK = Network(
    name="ldm_inpainting_decoder",
    inputs=(LATENT,),
    outputs=(ServedTensor("DRAWN", "FP32", (3, -1, -1)),),
    draw=lambda batch, generator: (draw_latent(batch, generator),),
    axes=(latent_axes(),),
    published=PUBLISHED,
    golden=GOLDEN,
    islands=(LATENT_DECODER,),
    quantization=Quantization("its last layer draws the picture", ends=True, transformer=False),
    seen=seen,
    serving=ONE_IMAGE,
)
