"""Reads a Stable Diffusion pipeline as diffusers saves it: a folder with `unet/`, `vae/` and, where wanted, more."""

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

from diffusers import AutoencoderKL, UNet2DConditionModel
from torch import Tensor

from export import checkpoint, diffusers_folder, stable_diffusion
from export.checkpoint import CheckpointError, named
from export.diffusers_folder import read_json

Network = TypeVar("Network")
NULL_TEXT = "null_text.safetensors"
# What concord's samplers are built on, and what diffusers assumes of an entry that is missing.
SCHEDULE = {
    "beta_schedule": "scaled_linear",
    "beta_start": 0.00085,
    "beta_end": 0.012,
    "num_train_timesteps": 1000,
    "prediction_type": "epsilon",
    "trained_betas": None,
    "rescale_betas_zero_snr": False,
}
ASSUMED = SCHEDULE | {"beta_schedule": "linear", "beta_start": 0.0001, "beta_end": 0.02}


@dataclass
class Pipeline:
    """What DiffHarmony runs on.

    `states` FP32 [n, d] are the text encoder's for the empty prompt, None if they are not at hand. `checkpoints` maps
    the files that were read to their SHA-256.
    """

    unet: UNet2DConditionModel
    vae: AutoencoderKL
    states: Tensor | None = None
    checkpoints: dict[str, str] = field(default_factory=dict)


def read(folder: Path | None, unet: Path | None, vae: Path | None, states: Path | None) -> Pipeline:
    """Read a pipeline, parts of it from elsewhere where a path is given for them.

    Args:
        folder: `unet/`, `vae/`; `scheduler/`, `text_encoder/` and `null_text.safetensors` are optional.
        unet, vae: a folder, or a file with the sizes of `config.json` beside it, or else the published ones.
        states: a safetensors file with the text states of the empty prompt.

    Raises:
        CheckpointError: a file is missing, damaged, or not what DiffHarmony runs on.
    """
    if folder is not None:
        if not folder.is_dir():
            raise CheckpointError(f"{folder}: no such folder")
        check_schedule(folder / "scheduler" / "scheduler_config.json")
        unet, vae = unet or folder / "unet", vae or folder / "vae"
    if unet is None or vae is None:
        raise CheckpointError("both --unet and --vae are needed without --pipeline")
    checkpoints: dict[str, str] = {}
    return Pipeline(
        read_part(unet, stable_diffusion.unet, checkpoints),
        read_part(vae, stable_diffusion.vae, checkpoints),
        read_states(folder, states, checkpoints),
        checkpoints,
    )


def read_states(folder: Path | None, file: Path | None, checkpoints: dict[str, str]) -> Tensor | None:
    """States of the empty prompt: from `file`, or what a pipeline has of them, or None."""
    if file is None and folder is not None and (folder / NULL_TEXT).is_file():
        file = folder / NULL_TEXT
    if file is not None:
        read = checkpoint.read(file)
        checkpoints[file.name] = read.sha256
        return named(file, lambda: stable_diffusion.stored_states(read.weights))
    if folder is not None and (folder / "text_encoder").is_dir():
        return read_part(folder / "text_encoder", stable_diffusion.encoded_states, checkpoints)
    return None


def required_states(states: Tensor | None, width: int) -> Tensor:
    """The states of the empty prompt; CheckpointError if they are missing, or of another width than the UNet's text."""
    if states is None:
        raise CheckpointError(
            "the states of the empty prompt are missing: the pipeline has neither text_encoder/ nor "
            "null_text.safetensors; give --text-states FILE"
        )
    if states.shape[1] != width:
        raise CheckpointError(f"the text states are {states.shape[1]} wide, the UNet's text {width}")
    return states


def read_part(
    path: Path, build: Callable[[dict[str, Any] | None, dict[str, Tensor]], Network], checkpoints: dict[str, str]
) -> Network:
    """Build a network from a folder, or a file with or without a `config.json` beside it; its digest is noted."""
    found = diffusers_folder.read(path)
    checkpoints[diffusers_folder.name_of(found)] = found.sha256
    return named(found.path, lambda: build(diffusers_folder.entries(found), found.weights))


def check_schedule(path: Path) -> None:
    """Refuse a scheduler's config for another noise schedule than concord's samplers follow, if there is one."""
    if not path.parent.is_dir():
        return
    config = read_json(path)
    for entry, wanted in SCHEDULE.items():
        found = config.get(entry, ASSUMED[entry])
        if found != wanted:
            raise CheckpointError(f"{path}: {entry} is {found!r}; the samplers are for {wanted!r}")
