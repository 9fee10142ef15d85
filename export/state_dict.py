"""A network whose authors publish its bare state dict."""

import json
from collections.abc import Callable, Collection, Mapping
from contextlib import nullcontext
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any, ClassVar, Generic, TypeVar, cast

import torch
from torch import Tensor, nn

from export import checkpoint
from export.checkpoint import Checkpoint, CheckpointError
from export.network import Loaded

Config = TypeVar("Config")


@dataclass(frozen=True)
class StateDict(Generic[Config]):
    """From a file to the served network.

    Attributes:
        claims: whether a checkpoint with these keys is one of this network.
        published: the sizes of the published checkpoint that has these weights.
        build: the network of these sizes, with the published keys; `served` is as it is served.
        own: the network's weights among those of a file, under the published keys; by default all of them.
        refused: why weights cannot be of these sizes, where a list of all their keys would hide it; empty if they can.
        unused: whether a key of the published file is one that the network does without; the record lists those.
        large: whether the file's tensors become the network's, since both would hardly fit into memory.
    """

    claims: Callable[[Collection[str]], bool]
    published: Callable[[Mapping[str, Tensor]], Config]
    build: Callable[[Config], nn.Module]
    served: Callable[[nn.Module], nn.Module]
    own: Callable[[Mapping[str, Tensor]], dict[str, Tensor]] = dict
    refused: Callable[[Config, Mapping[str, Tensor]], str] = lambda _config, _weights: ""
    unused: Callable[[str], bool] = lambda _key: False
    large: bool = False
    rewritten: ClassVar[bool] = False

    def read(self, path: Path) -> Checkpoint:
        """The checkpoint of a file; see `checkpoint.read`."""
        return checkpoint.read(path)

    def load(self, found: Checkpoint) -> Loaded:
        """The network with the weights, at the sizes that the file carries or else the published ones."""
        left_out = [key for key in found.weights if self.unused(key)]
        used = {key: value for key, value in found.weights.items() if not self.unused(key)}
        config, weights = self.sizes(found), self.own(used)
        if reason := self.refused(config, weights):
            raise CheckpointError(reason)
        with torch.device("meta") if self.large else nullcontext():
            network = self.build(config)
        checkpoint.load(network, weights, assign=self.large)
        record = {
            "network": type(network).__name__,
            "config": asdict(config),  # type: ignore[call-overload]
            "checkpoint": found.path.name,
            "checkpoint_sha256": found.sha256,
        } | ({"left_out": left_out} if left_out else {})
        return Loaded(self.served(network).eval(), record)

    def sizes(self, found: Checkpoint) -> Config:
        """The published sizes, with those that a file of ours carries; CheckpointError if they are not readable."""
        published: Any = self.published(found.weights)
        if not found.config:
            return cast(Config, published)
        try:
            sizes = json.loads(found.config)
            if not isinstance(sizes, dict) or set(sizes) - {entry.name for entry in fields(published)}:
                raise ValueError("unknown sizes")
            return cast(Config, checkpoint.with_sizes(published, sizes))
        except (ValueError, TypeError) as error:
            reason = checkpoint.first_line(error)
            raise CheckpointError(f"the sizes in the file's metadata are not readable ({reason})") from error
