"""Reads single-file Stable Diffusion checkpoints (CompVis's keys) through diffusers' converters; nothing is fetched."""

from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

from diffusers import AutoencoderKL
from diffusers.loaders.single_file_utils import (
    convert_ldm_clip_checkpoint,
    convert_ldm_unet_checkpoint,
    convert_ldm_vae_checkpoint,
)
from torch import Tensor

from export import checkpoint, stable_diffusion
from export.checkpoint import Checkpoint, CheckpointError, named
from export.diffusers_folder import CONFIG, read_json
from export.networks.text_encoder import SIZES
from export.networks.unet import INPAINTING
from export.networks.vae_encoder import KL_F8
from export.pipeline import Pipeline

UNET_KEY = "model.diffusion_model.input_blocks.0.0.weight"
VAE_KEY = "first_stage_model.decoder.conv_in.weight"
Found = TypeVar("Found")


def read(path: Path, configs: Path | None) -> Pipeline:
    """UNet, VAE, and the states of the empty prompt where the file holds a text encoder.

    Sizes are those of Stable Diffusion 1.5, or of the folder `configs` with `unet/config.json` and so on.

    Raises:
        CheckpointError: damaged, or not such a checkpoint.
    """
    file = whole(path)

    def build() -> Pipeline:
        stable_diffusion.check_channels(file.weights[UNET_KEY])
        unet = sizes(configs, "unet", INPAINTING)
        found = stable_diffusion.unet(unet, convert_ldm_unet_checkpoint(file.weights, unet))
        return Pipeline(found, *vae_and_states(file.weights, configs), {path.name: file.sha256})

    return converted(path, build)


def whole(path: Path) -> Checkpoint:
    """A file with the keys of UNet and VAE; CheckpointError where it is damaged or lacks one."""
    file = checkpoint.read(path)
    if missing := [key for key in (UNET_KEY, VAE_KEY) if key not in file.weights]:
        raise CheckpointError(f"{path}: not a single-file Stable Diffusion checkpoint: {' and '.join(missing)} missing")
    return file


def converted(path: Path, build: Callable[[], Found]) -> Found:
    """Call `build`, which uses diffusers' converters, with the path in front of its error."""
    try:
        return named(path, build)
    except (KeyError, IndexError, ValueError) as error:  # the converters expect every key
        raise CheckpointError(f"{path}: diffusers cannot convert it ({checkpoint.first_line(error)})") from error


def vae_and_states(weights: dict[str, Tensor], configs: Path | None) -> tuple[AutoencoderKL, Tensor | None]:
    """The VAE of a whole checkpoint, and the states of the empty prompt where it holds a text encoder."""
    vae = sizes(configs, "vae", KL_F8)
    text = convert_ldm_clip_checkpoint(weights)
    return (
        stable_diffusion.vae(vae, convert_ldm_vae_checkpoint(weights, vae)),
        stable_diffusion.encoded_states(sizes(configs, "text_encoder", SIZES), text) if text else None,
    )


def sizes(configs: Path | None, part: str, published: dict[str, Any]) -> dict[str, Any]:
    """The config of one part: the folder's, or the published one."""
    return read_json(configs / part / CONFIG) if configs else published
