"""One inference request, and how a task's request becomes one: by what a server's catalogue says of its pipelines."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from concord_client.catalogue import PREVIEW, STEP, TIMEOUT, TOTAL, Catalogue, Pipeline
from concord_client.errors import InvalidInput
from concord_client.settings import Scalar, Setting, SettingValue
from concord_client.tasks.request import Request


@dataclass(frozen=True)
class Inference:
    """One inference request.

    Attributes:
        model: name of the pipeline.
        inputs: tensor name to value; every input of a public pipeline is one value, shape [1, 1] on the wire.
        outputs: names of the tensors to compute and send back.
        headers: sent along, as gRPC metadata or HTTP headers.
    """

    model: str
    inputs: Mapping[str, Scalar]
    outputs: tuple[str, ...]
    headers: Mapping[str, str] = field(default_factory=dict)

    def within(self, seconds: float) -> "Inference":
        """The same request, which the server gives up by itself after a time."""
        return replace(self, inputs={**self.inputs, TIMEOUT: np.float32(seconds)})


def outputs_of(pipeline: Pipeline, request: type[Request[Any]], without: Collection[str] = ()) -> tuple[str, ...]:
    """The tensors to ask a pipeline for: what it declares of a task's answer.

    Args:
        pipeline: what is asked.
        request: the task.
        without: names of fields of the answer that are not wanted.

    Raises:
        ValueError: one of those is no field of the answer, or every answer has it.
    """
    answer = request.answer_type().fields()
    optional = [each.name for each in answer if not each.required]
    if odd := set(without) - set(optional):
        raise ValueError(f"without is {', '.join(sorted(odd))}; allowed: {', '.join(optional) or 'nothing'}")
    return tuple(each.tensor for each in answer if each.tensor in pipeline.outputs and each.name not in without)


def find_setting(catalogue: Catalogue, pipeline: Pipeline, name: str) -> Setting:
    """A setting of a pipeline.

    Args:
        catalogue: says which models have the setting where this one does not.
        pipeline: what is asked.
        name: the setting's public name.

    Raises:
        InvalidInput: the pipeline has no such setting.
    """
    declared = {setting.public_name: setting for setting in pipeline.settings.values()}
    if name not in declared:
        able = [each.model for each in catalogue.of_task(pipeline.task) if name.upper() in each.settings]
        allowed = ", ".join([*declared, *(f"model={model}" for model in dict.fromkeys(able))])
        problem = f"{pipeline.model} has no such setting"
        raise InvalidInput("invalid_setting", name.upper(), problem, allowed or "no setting")
    return declared[name]


def read_settings(catalogue: Catalogue, pipeline: Pipeline, settings: Mapping[str, SettingValue]) -> dict[str, Scalar]:
    """The tensors of settings, by their public names.

    Raises:
        InvalidInput: the model has no such setting, or the setting's tensor cannot hold the value.
    """
    tensors = {}
    for name, value in settings.items():
        if name.upper() == PREVIEW and not pipeline.streams and catalogue.has_steps(pipeline.task, pipeline.model):
            # Previews come with the steps of a stream.
            continue
        setting = find_setting(catalogue, pipeline, name)
        tensors[setting.name] = setting.tensor(value)
    return tensors


def stream_outputs(inputs: Mapping[str, Scalar]) -> tuple[str, ...]:
    """What a pipeline that streams is asked for besides its answer."""
    return (STEP, TOTAL, PREVIEW) if inputs.get(PREVIEW) else (STEP, TOTAL)
