"""Reads the checkpoints that authors publish, and loads them into networks of the same keys."""

import hashlib
import pickle
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any, TypeVar

import torch
from safetensors import safe_open
from torch import Tensor, nn

from export import bookkeeping, torchscript_archive
from export.errors import ExportError

PREFIX = "module."  # of a data-parallel trainer's keys
WRAPPERS = ("state_dict", "model")  # keys under which some files have their state dict
Read = TypeVar("Read")
Sizes = TypeVar("Sizes")


class CheckpointError(ExportError):
    """A checkpoint that cannot be used."""


@dataclass(frozen=True)
class Checkpoint:
    """A state dict as it lies in a file.

    `weights` are FP32 where they are floating-point, keys without `module.`; `config` is the JSON text with the sizes,
    from the metadata of Concord's own files or from diffusers' `config.json`; `sha256` is the file's.
    """

    weights: dict[str, Tensor]
    config: str
    sha256: str
    path: Path = Path()


def read(path: Path) -> Checkpoint:
    """Read a `.pth`/`.pt` (zip or legacy pickle, tensors only; TorchScript) or a `.safetensors` file.

    Accepts a bare state dict, one under a key of `WRAPPERS`, several under names, which become prefixes
    (`ad.conv_in.weight`), and the `module.` prefix of a data-parallel trainer. What trainers keep besides is left out
    (`export.bookkeeping`).

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
        elif torchscript_archive.is_archive(path):
            found = torchscript_archive.read(path)
        else:
            with bookkeeping.left_out(path):
                found = torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        raise CheckpointError(f"{path}: refused, damaged or holding more than tensors and plain values") from error
    except Exception as error:  # the readers of a damaged file raise nearly anything
        raise CheckpointError(f"{path}: damaged or not a checkpoint ({first_line(error)})") from error
    if isinstance(found, dict):
        found = next((found[name] for name in WRAPPERS if isinstance(found.get(name), dict)), found)
    if isinstance(found, dict) and all(isinstance(part, dict) for part in found.values()):
        found = {f"{name}.{key}": value for name, part in found.items() for key, value in part.items()}
    if not isinstance(found, dict) or not found or not all(isinstance(value, Tensor) for value in found.values()):
        raise CheckpointError(f"{path}: holds no state dict (keys to tensors)")
    names = [str(key).removeprefix(PREFIX) for key in found]
    if twice := [name for name, times in Counter(names).items() if times > 1]:
        raise CheckpointError(f"{path}: holds both {twice[0]} and {PREFIX}{twice[0]}, which are the same key here")
    weights = {
        name: value.float() if value.is_floating_point() else value
        for name, value in zip(names, found.values(), strict=True)
    }
    with path.open("rb") as stream:
        digest = hashlib.file_digest(stream, "sha256").hexdigest()
    return Checkpoint(weights, config, digest, path)


def first_line(error: Exception) -> str:
    """The first line of an exception's message, shortened."""
    return (str(error).splitlines() or [type(error).__name__])[0][:160]


def named(path: Path, build: Callable[[], Read]) -> Read:
    """Call `build`, with the path in front of its error."""
    try:
        return build()
    except CheckpointError as error:
        raise CheckpointError(f"{path}: {error}") from error


def with_sizes(published: Sizes, config: dict[str, Any]) -> Sizes:
    """The sizes of a network, a dataclass, with what a config says of the same names put in."""
    names = [entry.name for entry in fields(published)]  # type: ignore[arg-type]
    named = {name: config[name] for name in names if name in config}
    sizes = {key: tuple(value) if isinstance(value, list) else value for key, value in named.items()}
    return replace(published, **sizes)  # type: ignore[type-var]


def load(network: nn.Module, weights: dict[str, Tensor], assign: bool = False) -> None:
    """Load strictly; with `assign`, the weights take the place of the network's parameters instead of being copied.

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
