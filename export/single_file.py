"""Reads single-file Stable Diffusion checkpoints (CompVis's keys) through diffusers' converters; nothing is fetched."""

from pathlib import Path
from typing import Any

from diffusers.loaders.single_file_utils import (
    convert_ldm_clip_checkpoint,
    convert_ldm_unet_checkpoint,
    convert_ldm_vae_checkpoint,
)

from export import checkpoint, stable_diffusion
from export.checkpoint import CheckpointError, named
from export.diffusers_folder import CONFIG, read_json
from export.networks.text_encoder import SIZES
from export.networks.unet import INPAINTING
from export.networks.vae_encoder import KL_F8
from export.pipeline import Pipeline

UNET_KEY = "model.diffusion_model.input_blocks.0.0.weight"
VAE_KEY = "first_stage_model.decoder.conv_in.weight"


def read(path: Path, configs: Path | None) -> Pipeline:
    """UNet, VAE, and the states of the empty prompt where the file holds a text encoder.

    Sizes are those of Stable Diffusion 1.5, or of the folder `configs` with `unet/config.json` and so on.

    Raises:
        CheckpointError: damaged, or not such a checkpoint.
    """
    file = checkpoint.read(path)
    missing = [key for key in (UNET_KEY, VAE_KEY) if key not in file.weights]
    if missing:
        raise CheckpointError(f"{path}: not a single-file Stable Diffusion checkpoint: {' and '.join(missing)} missing")

    def build() -> Pipeline:
        stable_diffusion.check_channels(file.weights[UNET_KEY])
        unet, vae = sizes(configs, "unet", INPAINTING), sizes(configs, "vae", KL_F8)
        text = convert_ldm_clip_checkpoint(file.weights)
        return Pipeline(
            stable_diffusion.unet(unet, convert_ldm_unet_checkpoint(file.weights, unet)),
            stable_diffusion.vae(vae, convert_ldm_vae_checkpoint(file.weights, vae)),
            stable_diffusion.encoded_states(sizes(configs, "text_encoder", SIZES), text) if text else None,
            {path.name: file.sha256},
        )

    try:
        return named(path, build)
    except (KeyError, IndexError, ValueError) as error:  # the converters expect every key
        raise CheckpointError(f"{path}: diffusers cannot convert it ({checkpoint.first_line(error)})") from error


def sizes(configs: Path | None, part: str, published: dict[str, Any]) -> dict[str, Any]:
    """The config of one part: the folder's, or the published one."""
    return read_json(configs / part / CONFIG) if configs else published
