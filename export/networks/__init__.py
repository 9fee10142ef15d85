"""The networks, one file each, which ends in its declaration; a file of layers that several share has none.

Only what is asked for is imported: torch and diffusers take seconds.
"""

import importlib
from collections.abc import Collection, Iterator
from itertools import chain
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from export.network import Network

BY_PIPELINE = {
    # Ahead of Stable Diffusion's, whose UNet has a key of the same name.
    "ldm_inpainting": ("ldm_inpainting_encoder", "ldm_inpainting_unet", "ldm_inpainting_decoder"),
    "ldm_sr": ("ldm_sr_unet", "ldm_sr_decoder"),
    "ldm": (
        *("ldm_text2img_encoder", "ldm_text2img_decoder", "ldm_text2img_preview"),
        *("ldm_text2img_text_encoder", "ldm_text2img_unet"),
    ),
    "diffharmony": ("vae_encoder", "unet", "vae_decoder", "latent_preview"),
    "diffreharmony": ("text_encoder", "referring_unet"),
    "crisht": ("crisht",),
    "phdiffusion": (
        *("phdiffusion_encoder", "phdiffusion_decoder", "phdiffusion_preview"),
        *("phdiffusion_adapter", "phdiffusion_unet"),
    ),
    "stable_diffusion": (
        *("stable_diffusion_encoder", "stable_diffusion_decoder", "stable_diffusion_preview"),
        *("stable_diffusion_text_encoder", "stable_diffusion_unet"),
    ),
    "sam": ("mobile_sam_encoder", "mobile_sam_decoder", "sam2_encoder", "sam2_decoder"),
    "attngan": ("attngan_text_encoder", "attngan_generator"),
    "clip": ("clip_image_encoder", "clip_text_encoder"),
    "blended_diffusion": ("blended_guidance",),
}
"""Published by a pipeline of `export.pipelines`, by its name."""
PARTS = tuple(chain.from_iterable(BY_PIPELINE.values()))
COMPANIONS = ("harmony_vae", "refinement", "tiny_encoder", "tiny_decoder")
"""Optional, and trained beside those."""
NETWORKS = ("cris", "ht", "dht", "ht_v1", "dht_v1", "clip_ht", "pctnet", "isnet", "diffir", *PARTS, *COMPANIONS)
"""All of them, by file; those that are no parts are exported by a command of their own name."""


def declared(name: str) -> "Network":
    """The declaration of one of `NETWORKS`."""
    network: Network = importlib.import_module(f"export.networks.{name}").NETWORK
    return network


def every() -> "tuple[Network, ...]":
    """All declarations."""
    return tuple(map(declared, NETWORKS))


def find(name: str) -> "Network | None":
    """The declaration of a model of the repository; None for what is no network."""
    return declared(name) if name in NETWORKS else None


def takers(keys: Collection[str]) -> Iterator[str]:
    """Networks and pipelines that a checkpoint with these keys is of, by the names of their commands."""
    yield from (network.name for network in every() if network.source and network.source.claims(keys))
    yield from (name for name in BY_PIPELINE if importlib.import_module(f"export.pipelines.{name}").claims(keys))


def elsewhere(keys: Collection[str]) -> str:
    """Of what a checkpoint with these keys is, to end a sentence that says what it is not; or nothing."""
    taker = next(takers(keys), None)
    return f", but of {taker}: python -m export {taker} takes it" if taker else ""
