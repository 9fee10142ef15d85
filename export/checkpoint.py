"""Reads the checkpoints that authors publish, and says which network a file holds."""

import hashlib
import json
import pickle
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any, TypeVar

import torch
from safetensors import safe_open
from torch import Tensor, nn

from export.networks.cris import R50, R101, CrisConfig
from export.networks.harmony_transformer import Form, HarmonyTransformerConfig

Config = TypeVar("Config", CrisConfig, HarmonyTransformerConfig)


class CheckpointError(Exception):
    """A checkpoint that cannot be used; the message is meant for the person who ran the command."""


@dataclass(frozen=True)
class Checkpoint:
    """A state dict as it lies in a file.

    `weights` are FP32 where they are floating-point, keys without `module.`; `config` is the JSON text that Concord's
    own files carry, empty in published ones; `sha256` is the file's.
    """

    weights: dict[str, Tensor]
    config: str
    sha256: str


def read(path: Path) -> Checkpoint:
    """Read a `.pth`/`.pt` (zip or legacy pickle, tensors only) or a `.safetensors` file.

    Accepts a bare state dict, one under `state_dict`, and the `module.` prefix of a data-parallel trainer.

    Raises:
        CheckpointError: not readable, truncated, holding anything but tensors and plain values, or no state dict.
    """
    if not path.is_file():
        raise CheckpointError(f"{path}: no such file")
    config = ""
    try:
        if path.suffix == ".safetensors":
            with safe_open(path, framework="pt") as file:
                config = (file.metadata() or {}).get("config", "")
                found: Any = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118
        else:
            found = torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        raise CheckpointError(f"{path}: refused, damaged or holding more than tensors and plain values") from error
    except Exception as error:  # the readers of a damaged file raise nearly anything
        raise CheckpointError(f"{path}: damaged or not a checkpoint ({first_line(error)})") from error
    if isinstance(found, dict) and isinstance(found.get("state_dict"), dict):
        found = found["state_dict"]
    if not isinstance(found, dict) or not found or not all(isinstance(value, Tensor) for value in found.values()):
        raise CheckpointError(f"{path}: holds no state dict (keys to tensors)")
    weights = {
        str(key).removeprefix("module."): value.float() if value.is_floating_point() else value
        for key, value in found.items()
    }
    with path.open("rb") as stream:
        digest = hashlib.file_digest(stream, "sha256").hexdigest()
    return Checkpoint(weights, config, digest)


def first_line(error: Exception) -> str:
    """The first line of an exception's message, shortened."""
    return (str(error).splitlines() or [type(error).__name__])[0][:160]


def cris_config(checkpoint: Checkpoint) -> CrisConfig:
    """The sizes of a CRIS file: its own, or the published R50 or R101.

    Raises:
        CheckpointError: the keys are not CRIS's, or the sizes it carries are not readable.
    """
    if "backbone.visual.conv1.weight" not in checkpoint.weights or "proj.txt.weight" not in checkpoint.weights:
        raise CheckpointError("the keys are not those of CRIS (backbone.visual.conv1.weight and proj.txt.weight)")
    published = R101 if "backbone.visual.layer3.6.conv1.weight" in checkpoint.weights else R50
    return with_sizes(published, checkpoint)


def harmonizer_config(checkpoint: Checkpoint) -> HarmonyTransformerConfig:
    """Which of the four published Harmony Transformers a file is, with its own sizes or the published ones.

    Raises:
        CheckpointError: the keys belong to none of the four, or the sizes it carries are not readable.
    """
    return with_sizes(HarmonyTransformerConfig(identify(checkpoint.weights)), checkpoint)


def identify(weights: dict[str, Tensor]) -> Form:
    """Name the form of a Harmony Transformer by its keys.

    Raises:
        CheckpointError: the keys belong to none of the four.
    """
    if "patch_to_embedding.1.weight" in weights:
        return "ht_plus"
    if any(key.startswith("light_generator.transformer_enc.") for key in weights):
        return "dht_v1"
    if any(key.startswith("light_generator.") for key in weights):
        return "dht_plus"
    if "enc.model.0.conv.weight" in weights:
        return "ht_v1"
    raise CheckpointError("the keys are those of no Harmony Transformer (HT+, DHT+, HT or D-HT)")


def with_sizes(published: Config, checkpoint: Checkpoint) -> Config:
    """`published`, with the sizes a file of Concord's carries put in."""
    if not checkpoint.config:
        return published
    try:
        sizes = json.loads(checkpoint.config)
        known = {field.name for field in fields(published)}
        if not isinstance(sizes, dict) or set(sizes) - known:
            raise ValueError("unknown sizes")
        return replace(published, **{key: tuple(v) if isinstance(v, list) else v for key, v in sizes.items()})
    except (ValueError, TypeError) as error:
        raise CheckpointError(f"the sizes in the file's metadata are not readable ({first_line(error)})") from error


def load(network: nn.Module, weights: dict[str, Tensor], assign: bool = False) -> None:
    """Load strictly.

    Args:
        assign: let `weights` take the place of the network's parameters instead of copying them into these.

    Raises:
        CheckpointError: lists every kind of mismatch by key: missing, left over, of another shape.
    """
    expected = network.state_dict()
    missing = [key for key in expected if key not in weights]
    left_over = [key for key in weights if key not in expected]
    shapes = [
        f"{key} {tuple(weights[key].shape)} instead of {tuple(expected[key].shape)}"
        for key in expected
        if key in weights and weights[key].shape != expected[key].shape
    ]
    groups = {"missing": missing, "left over": left_over, "of another shape": shapes}
    if any(groups.values()):
        lines = [f"  {title}: {key}" for title, keys in groups.items() for key in keys]
        raise CheckpointError("\n".join(["the checkpoint does not fit the network:", *lines]))
    network.load_state_dict(weights, assign=assign)
