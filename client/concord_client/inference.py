"""One inference request, and how a task's request becomes one: by what a server's catalogue says of its pipelines."""

import secrets
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Generic, TypeAlias

import numpy as np

from concord_client.cancellation import Cancellation
from concord_client.catalogue import PREVIEW, SEED, STEP, TIMEOUT, TOTAL, Catalogue, Pipeline
from concord_client.errors import InvalidInput, Unavailable
from concord_client.settings import Scalar, Setting, SettingValue, Value
from concord_client.steps import OnStep
from concord_client.tasks.fields import Tensors
from concord_client.tasks.request import A, Request

DATATYPES: Mapping[type[Scalar], str] = {
    bytes: "BYTES",
    np.int32: "INT32",
    np.int64: "INT64",
    np.float32: "FP32",
    np.bool_: "BOOL",
}
"""KServe's names for the types of inputs."""


def datatype_of(value: Value) -> str:
    """KServe's name for the type of an input."""
    return DATATYPES[value.dtype.type if isinstance(value, np.ndarray) else type(value)]


def shape_of(value: Value) -> list[int]:
    """The shape of an input on the wire."""
    return [1, value.size] if isinstance(value, np.ndarray) else [1, 1]


OnLost: TypeAlias = Callable[[Unavailable], object]
"""Is told why a call is made again from the beginning, before it is; what it raises ends the call."""


def untold(_error: Unavailable) -> None:
    """Tells nobody."""


@dataclass(frozen=True)
class Inference:
    """One inference request: to a pipeline, with tensors by their names, for the tensors named as outputs.

    Every input of a public pipeline is one value, shape [1, 1] on the wire, or numbers, shape [1, N]. Headers go along
    as gRPC metadata or HTTP headers.
    """

    model: str
    inputs: Mapping[str, Value]
    outputs: tuple[str, ...]
    headers: Mapping[str, str] = field(default_factory=dict)

    def within(self, seconds: float) -> "Inference":
        """The same request, which the server gives up by itself after a time."""
        return replace(self, inputs={**self.inputs, TIMEOUT: np.float32(seconds)})

    def read(self, result: Any) -> Tensors:
        """The tensors of tritonclient's result that were asked for and came back."""
        tensors = {name: result.as_numpy(name) for name in self.outputs}
        return {name: tensor for name, tensor in tensors.items() if tensor is not None}


@dataclass(frozen=True)
class Wish(Generic[A]):
    """A request, and how it is to be answered: the arguments of `concord_client.Client.run`."""

    request: Request[A]
    model: str | None
    settings: Mapping[str, SettingValue] | None
    on_step: OnStep | None
    on_lost: OnLost
    without: Collection[str]
    timeout: float | None
    headers: Mapping[str, str] | None
    cancellation: Cancellation | None = None

    def plan(self, catalogue: Catalogue, inputs: Mapping[str, Value], *, streams: bool) -> tuple[Pipeline, Inference]:
        """The pipeline that answers it, and what that is asked; the errors are those of `concord_client.Client.run`.

        Args:
            catalogue: of the server.
            inputs: the request's own tensors.
            streams: whether the protocol can carry steps.
        """
        pipeline = catalogue.choose(self.request.TASK, self.model, inputs.keys(), streams=streams)
        has_steps = catalogue.has_steps(pipeline.task, pipeline.model)
        if self.on_step is not None and not has_steps:
            raise ValueError(f"on_step is for a model with steps; {pipeline.model} has none")
        tensors = dict(inputs)
        for name, value in (self.settings or {}).items():
            # Previews come with the steps of a stream.
            if name.upper() != PREVIEW or pipeline.streams or not has_steps:
                setting = find_setting(catalogue, pipeline, name)
                tensors[setting.name] = setting.tensor(value)
        seed = pipeline.settings.get(SEED)
        if seed is not None and seed.highest is not None and SEED not in tensors:
            # Drawn here, so that a request that is made again has the same.
            tensors[SEED] = seed.tensor(secrets.randbelow(int(seed.highest) + 1))
        answer = self.request.answer_type().fields()
        optional = [each.name for each in answer if not each.required]
        if odd := set(self.without) - set(optional):
            raise ValueError(f"without is {', '.join(sorted(odd))}; allowed: {', '.join(optional) or 'nothing'}")
        outputs = [STEP, TOTAL] if pipeline.streams else []
        outputs += [PREVIEW] if pipeline.streams and tensors.get(PREVIEW) else []
        outputs += [each.tensor for each in answer if each.tensor in pipeline.outputs and each.name not in self.without]
        return pipeline, Inference(pipeline.name, tensors, tuple(outputs), self.headers or {})


def find_setting(catalogue: Catalogue, pipeline: Pipeline, name: str) -> Setting:
    """A setting of a pipeline by its public name.

    Raises:
        InvalidInput: the pipeline has no such setting; says which models of the catalogue have it.
    """
    declared = {setting.public_name: setting for setting in pipeline.settings.values()}
    if name not in declared:
        able = [each.model for each in catalogue.of_task(pipeline.task) if name.upper() in each.settings]
        allowed = ", ".join([*declared, *(f"model={model}" for model in dict.fromkeys(able))])
        problem = f"{pipeline.model} has no such setting"
        raise InvalidInput("invalid_setting", name.upper(), problem, allowed or "no setting")
    return declared[name]
