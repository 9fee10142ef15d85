"""What a network declares of itself: one `Network(...)` at the end of its own file in `export/networks/`.

Commands, configurations, precisions, checks and tests are loops over these declarations.
"""

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol, TypeAlias

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor, nn
from tritonclient.utils import triton_to_np_dtype  # type: ignore[import-untyped]

from concord.repository.ensembles import Harmonizer
from concord.repository.profiles import PROFILES
from concord.scenes.scene import Scene
from export.half_precision import Island

BATCHES = (1, 2, 3)  # sizes an export is checked at
TRACED = 2  # the size that it is traced at
BATCH = torch.export.Dim("batch", min=1, max=63)  # from 64 on diffusers' upsampling goes another way
SIDES = (256, 512, 1024)  # pixels: the least, a usual and the largest resolution at which free sides are served
SESSION = {"session.dynamic_block_base": "4", "session.intra_op.allow_spinning": "0"}

Axes: TypeAlias = tuple[dict[int, Any], ...]  # one an input: dynamic axis to its torch.export.Dim, or a multiple of one
Feeds: TypeAlias = dict[str, NDArray[np.generic]]
Maker: TypeAlias = Callable[[Iterator[Scene], Path], Iterator[Feeds]]


@dataclass(frozen=True)
class ServedTensor:
    """An input or output: its name and Triton's type, such as "UINT8", and its shape without the batch.

    In `dims` -1 is a free side; an element covers `stride` pixels of the picture, each way.
    """

    name: str
    kind: str
    dims: tuple[int, ...]
    stride: int = 1

    def at(self, side: int) -> tuple[int, ...]:
        """The shape, without the batch, for a picture of `side` x `side` pixels."""
        return tuple(side // self.stride if size == -1 else size for size in self.dims)


@dataclass(frozen=True)
class Loaded:
    """A checkpoint that has become the network that is served, and what its record says of the origin."""

    network: nn.Module
    record: dict[str, Any]


class Source(Protocol):
    """How a checkpoint becomes a served network: `export.state_dict` and `export.diffusers_folder`."""

    @property
    def claims(self) -> Callable[[Collection[str]], bool]:
        """Whether a checkpoint with these keys is one of this network."""

    @property
    def rewritten(self) -> bool:
        """Whether attention and convolutions are rewritten for the engine, see `export.runtime_form`."""

    def read(self, path: Path) -> Any:
        """Open a checkpoint; its `weights` are by key."""

    def load(self, found: Any) -> Loaded:
        """The network with these weights."""


@dataclass(frozen=True)
class Quantization:
    """What of a network stays in FP32 when the rest becomes INT8, and why; products of vectors always do.

    `types` are OpenVINO's operators. `ends`: the products that read the inputs, and those that give the answer; but for
    inputs that are `joining` later what others have become. `transformer`: quantized with NNCF's scheme for attention.
    """

    reason: str
    types: tuple[str, ...] = ()
    ends: bool = False
    joining: Collection[str] = ()
    transformer: bool = True


@dataclass(frozen=True)
class NotPublished:
    """Why there are no numeric answers of the authors' network to compare with."""

    reason: str


@dataclass(frozen=True)
class Serving:
    """How Triton serves a network by default.

    Attributes:
        batch: the largest batch on CPUs.
        gpu_batch: the same on a GPU.
        delay_microseconds: how long a request waits for others to join its batch.
        patience_seconds: of a canary, where a run takes longer than canaries usually wait.
        session: parameters of ONNX Runtime's session on CPUs.
        profiles: the engines it is served with besides, of `concord.repository.profiles.PROFILES`.
    """

    batch: int = 2
    gpu_batch: int = 8
    delay_microseconds: int = 1000
    patience_seconds: int | None = None
    session: Mapping[str, str] = field(default_factory=lambda: SESSION)
    profiles: Collection[str] = tuple(PROFILES)


@dataclass(frozen=True)
class Network:
    """A network of the model repository.

    Attributes:
        name: its folder in the repository, and its command.
        inputs, outputs: the tensors of the served network.
        draw: inputs of a batch size, to check an export with.
        golden: names of the published checkpoints, of `published`, whose answers lie in `tests/published/golden`.
        published: by name, the network at the sizes of a published checkpoint; keys lie in `tests/published/keys`.
        source: how a checkpoint of its own is read; None where a pipeline of `export.pipelines` publishes it.
        companion_of: a network of the pipeline beside which it was trained and without which it is of no use.
        axes: the dynamic axes of every input; without it, the first one of each.
        checked: batch sizes that an export is checked at; fewer where a sample takes gigabytes.
        tolerance: largest absolute difference to the torch network, for answers of magnitude 1; it grows with them.
        islands: what stays in FP32 when the rest becomes FP16.
        quantization: None where there is no INT8 form.
        seen: from scenes and a repository with the networks before it, what it is given in service, without batch.
        windowed: whether pipelines may ask for the answer around a mask alone, if it is much like in the whole answer.
        serving: see `Serving`.
        unless_empty: an input; a sample in which it is 0 everywhere is answered with zeros, and the network not asked.
        harmonizer: for a network that harmonizes in one pass: what its two pipelines say of it.
    """

    name: str
    inputs: tuple[ServedTensor, ...]
    outputs: tuple[ServedTensor, ...]
    draw: Callable[[int, torch.Generator], tuple[Tensor, ...]]
    golden: tuple[str, ...] | NotPublished
    published: Mapping[str, Callable[[], nn.Module]] = field(default_factory=dict)
    source: Source | None = None
    companion_of: str = ""
    axes: Axes | None = None
    checked: tuple[int, ...] = BATCHES
    tolerance: float = 1e-4
    islands: tuple[Island, ...] = ()
    quantization: Quantization | None = None
    seen: Maker | None = None
    windowed: bool = False
    serving: Serving = field(default_factory=Serving)
    unless_empty: str = ""
    harmonizer: Harmonizer | None = None

    def samples(self) -> Iterator[tuple[Tensor, ...]]:
        """Inputs of every batch size in `checked`, the same ones each time."""
        generator = torch.Generator().manual_seed(1)
        for batch in self.checked:
            yield self.draw(batch, generator)

    def warmup(self) -> Feeds:
        """What a server has it answer before it is ready: zeros of one sample, at the least resolution."""
        return {
            tensor.name: np.zeros((1, *tensor.at(SIDES[0])), triton_to_np_dtype(tensor.kind)) for tensor in self.inputs
        }

    def traced(self) -> tuple[Tensor, ...]:
        """Inputs to trace an export with."""
        return self.draw(TRACED, torch.Generator().manual_seed(1))

    def feeds(self, sample: Sequence[Tensor]) -> Feeds:
        """A sample by the inputs' names."""
        return {tensor.name: value.numpy() for tensor, value in zip(self.inputs, sample, strict=True)}


def noise_image(batch: int, size: int, generator: torch.Generator) -> Tensor:
    """uint8 [batch, size, size, 3]: coarse and fine random structure."""
    coarse = F.interpolate(torch.rand(batch, 3, 7, 7, generator=generator), size=(size, size), mode="bicubic")
    fine = torch.rand(batch, 3, size, size, generator=generator)
    return ((0.8 * coarse + 0.2 * fine).clamp(0, 1) * 255).to(torch.uint8).permute(0, 2, 3, 1).contiguous()
