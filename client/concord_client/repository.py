"""What a server has: its models with their inputs and outputs."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any


@dataclass(frozen=True)
class Tensor:
    """An input or output of a model: its name, its KServe datatype (``BYTES``, ``FP32``, ...) and its shape.

    -1 stands for a size that is free; the first size is the batch's where the model is batched.
    """

    name: str
    datatype: str
    shape: tuple[int, ...]


@dataclass(frozen=True)
class Model:
    """One version of a model or pipeline that is ready; inputs and outputs are in the order of its configuration."""

    name: str
    version: str
    inputs: tuple[Tensor, ...] = ()
    outputs: tuple[Tensor, ...] = ()


def read_statistics(statistics: Mapping[str, Any]) -> list[Model]:
    """The models of Triton's statistics, without their tensors, sorted by name and version.

    Its repository index is not for everybody, because what allows that also allows to load and unload models.
    """
    models = [Model(each["name"], each["version"]) for each in statistics.get("model_stats", ())]
    return sorted(models, key=lambda model: (model.name, len(model.version), model.version))


def read_metadata(model: Model, metadata: Mapping[str, Any]) -> Model:
    """The model with the tensors of its KServe metadata."""
    inputs, outputs = (
        # gRPC's JSON writes 64-bit integers as strings and leaves an empty shape out.
        tuple(Tensor(each["name"], each["datatype"], tuple(map(int, each.get("shape", ())))) for each in tensors)
        for tensors in (metadata.get("inputs", ()), metadata.get("outputs", ()))
    )
    return replace(model, inputs=inputs, outputs=outputs)
