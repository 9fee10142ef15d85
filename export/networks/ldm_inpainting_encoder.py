"""The encoder of latent diffusion's inpainting model: a picture and its hole to what the UNet is given."""

from collections.abc import Iterator
from pathlib import Path

from concord.scenes.scene import Scene
from concord.squash import squash_image, squash_mask
from export.half_precision import NORMS
from export.network import Feeds, Network, Quantization, ServedTensor
from export.networks.latent_diffusion import ONE_IMAGE, SEEN_SIDE
from export.networks.ldm_inpainting import CONDITION, GOLDEN, PUBLISHED, draw_picture, picture_axes


def seen(scenes: Iterator[Scene], _repository: Path) -> Iterator[Feeds]:
    """Scenes as they should be, and a hole where one of their objects is."""
    for scene in scenes:
        yield {"PICTURE": squash_image(scene.truth, SEEN_SIDE), "HOLE": squash_mask(scene.mask, SEEN_SIDE)}


NETWORK = Network(
    name="ldm_inpainting_encoder",
    inputs=(ServedTensor("PICTURE", "UINT8", (-1, -1, 3)), ServedTensor("HOLE", "UINT8", (-1, -1))),
    outputs=(CONDITION,),
    draw=draw_picture,
    axes=(picture_axes(), picture_axes()),
    published=PUBLISHED,
    golden=GOLDEN,
    tolerance=3e-4,
    islands=(NORMS,),
    quantization=Quantization("what it gives is read at every step", ends=True, transformer=False),
    seen=seen,
    serving=ONE_IMAGE,
)
