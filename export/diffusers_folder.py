"""Networks in diffusers' layout: a folder with `config.json` and weights, or one file of weights."""

import json
from collections.abc import Callable, Collection
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, ClassVar, Generic, TypeVar

import torch
from diffusers import ModelMixin
from torch import Tensor, nn

from export import checkpoint
from export.checkpoint import Checkpoint, CheckpointError
from export.network import Loaded

Config = TypeVar("Config")
Built = TypeVar("Built", bound=nn.Module)
CONFIG = "config.json"
WEIGHTS = ("diffusion_pytorch_model", "model", "pytorch_model")
SUFFIXES = (".safetensors", ".bin")


@dataclass(frozen=True)
class DiffusersFolder(Generic[Config]):
    """From a folder or a file to the served network, built from diffusers' modules.

    Attributes:
        claims: whether a checkpoint with these keys is one of this network.
        sizes: from the entries of `config.json`, None without one, and the weights.
        build: the network of these sizes, with the published keys; `served` is as it is served.
        own: of a checkpoint's weights those of the network, under the published keys.
    """

    claims: Callable[[Collection[str]], bool]
    sizes: Callable[[dict[str, Any] | None, dict[str, Tensor]], Config]
    build: Callable[[Config], nn.Module]
    served: Callable[[Any, Config], nn.Module]
    own: Callable[[dict[str, Tensor]], dict[str, Tensor]] = lambda weights: weights
    rewritten: ClassVar[bool] = True

    def read(self, path: Path) -> Checkpoint:
        """The checkpoint of a folder or a file.

        Raises:
            CheckpointError: see `read`.
        """
        return read(path)

    def load(self, found: Checkpoint) -> Loaded:
        """The network with the weights, at the sizes of `config.json` or else the published ones."""
        weights = self.own(found.weights)
        config = self.sizes(entries(found), weights)
        network = assemble(lambda: self.build(config), weights)
        record = {
            "network": type(network).__name__,
            "config": asdict(config),  # type: ignore[call-overload]
            "checkpoints": {name_of(found): found.sha256},
        }
        return Loaded(self.served(network, config), record)


def read(path: Path) -> Checkpoint:
    """The weights of a folder, or of a file; `config` is the text of the `config.json` in it or beside it.

    Raises:
        CheckpointError: begins with the path of what is missing or damaged.
    """
    if not path.exists():
        raise CheckpointError(f"{path}: no such file or folder")
    folder = path if path.is_dir() else path.parent
    config = json.dumps(read_json(folder / CONFIG)) if path.is_dir() or (folder / CONFIG).is_file() else ""
    return replace(checkpoint.read(find_weights(path) if path.is_dir() else path), config=config)


def entries(found: Checkpoint) -> dict[str, Any] | None:
    """The entries of `config.json`; None without one."""
    return json.loads(found.config) if found.config else None


def name_of(found: Checkpoint) -> str:
    """The file with its folder, as records name it."""
    return f"{found.path.parent.name}/{found.path.name}"


def find_weights(folder: Path) -> Path:
    """The file with the weights of a folder: safetensors before bin, full precision before variants (`fp16`)."""
    for pattern in ("{}{}", "{}.*{}"):
        for suffix in SUFFIXES:
            for name in WEIGHTS:
                for file in sorted(folder.glob(pattern.format(name, suffix))):
                    return file
    name = WEIGHTS[1] if folder.name == "text_encoder" else WEIGHTS[0]
    raise CheckpointError(f"{folder / name}{SUFFIXES[0]}: no such file, nor one that ends in {SUFFIXES[1]}")


def read_json(path: Path) -> dict[str, Any]:
    """A JSON object; CheckpointError where the file is missing or holds something else."""
    if not path.is_file():
        raise CheckpointError(f"{path}: no such file")
    try:
        found = json.loads(path.read_text())
    except ValueError as error:
        raise CheckpointError(f"{path}: not JSON ({checkpoint.first_line(error)})") from error
    if not isinstance(found, dict):
        raise CheckpointError(f"{path}: not a JSON object")
    return found


def assemble(make: Callable[[], Built], weights: dict[str, Tensor]) -> Built:
    """The network that `make` makes, with `weights` themselves as parameters; CheckpointError if they do not fit."""
    try:
        with torch.device("meta"):
            network = make()
    except Exception as error:  # diffusers raises nearly anything for sizes that do not go together
        raise CheckpointError(f"its config is not usable ({checkpoint.first_line(error)})") from error
    ModelMixin._fix_state_dict_keys_on_load(network, weights)
    checkpoint.load(network, weights, assign=True)
    return network.requires_grad_(False).eval()
