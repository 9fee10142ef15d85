"""The pipelines of a network that harmonizes in one pass: ensembles that differ in two of their steps."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass

from tritonclient.grpc.model_config_pb2 import (  # type: ignore[import-untyped]
    ModelConfig,
    ModelEnsembling,
    ModelParameter,
)

from concord_client.catalogue import SETTING
from concord_client.composition import COMPOSITION

_TASK = "harmonize"
_DECODE, _DECODE_MASK = "decode", "decode_mask"


@dataclass(frozen=True)
class Harmonizer:
    """What a network's two pipelines say of it.

    Attributes:
        about: one clause, for people who choose a model.
        rank: the first model of a task by (rank, name) is the task's default.
        concurrency: requests that the facade sends at a time. While one is in a network, another is decoded or encoded;
            more than two only wait elsewhere (`benchmarks.parts.admission`).
        views: the models that make what the network reads besides COMPOSITE and COMPOSITE_MASK.
        compose: the model that makes HARMONIZED from the network's output.
        finds: whether the network finds by a text what it harmonizes, in the segmenter's place; then it takes no mask.
    """

    about: str
    rank: int = 100
    concurrency: int = 2
    views: tuple[str, ...] = ()
    compose: str = "compose"
    finds: bool = False


def pipelines(
    network: str, declared: Harmonizer, models: Mapping[str, ModelConfig], segment: ModelConfig
) -> list[ModelConfig]:
    """`harmonize_X`, which is given a mask, and `segment_harmonize_X`, which begins as the ensemble `segment`."""
    begin = [models[step.model_name] for step in segment.ensemble_scheduling.step]
    rest = [models[name] for name in (*declared.views, network, declared.compose)]
    masked = [models[_DECODE], models[_DECODE_MASK], *rest]
    text_guided = [*begin, *rest]
    if declared.finds:
        masked, own = [], models[network]
        text_guided = [own if model.default_model_filename else model for model in begin] + [models[declared.compose]]
    said = {"about": declared.about, "rank": str(declared.rank), "concurrency": str(declared.concurrency)}
    composing = models[declared.compose]
    settings = {tensor.name: COMPOSITION[tensor.name] for tensor in composing.input if tensor.name in COMPOSITION}
    declarations = {f"{SETTING}{name}": setting.written() for name, setting in settings.items()}
    parameters = {"task": _TASK, "model": network, **said, **declarations}
    outputs = [tensor.name for tensor in composing.output]
    named, found = ([tensor.name for tensor in tensors] for tensors in (segment.input, segment.output))
    return [
        ensemble(name, inputs, given, steps, parameters)
        for name, inputs, given, steps in (
            (f"{_TASK}_{network}", ["IMAGE", "MASK", *settings], outputs, masked),
            (f"segment_{_TASK}_{network}", [*named, *settings], outputs + found, text_guided),
        )
        if steps
    ]


def ensemble(
    name: str,
    inputs: Iterable[str],
    outputs: Collection[str],
    steps: Sequence[ModelConfig],
    parameters: Mapping[str, str],
) -> ModelConfig:
    """Models one after the other, which hand tensors on by their names; so do those of the ensemble itself."""
    config = ModelConfig(name=name, platform="ensemble", max_batch_size=min(step.max_batch_size for step in steps))
    config.version_policy.latest.num_versions = 1
    taken = {tensor.name: tensor for step in steps for tensor in step.input}
    given = {tensor.name: tensor for step in steps for tensor in step.output}
    for tensors, names, field in ((taken, inputs, config.input), (given, outputs, config.output)):
        for tensor in (tensors[each] for each in names):
            field.add(name=tensor.name, data_type=tensor.data_type, dims=tensor.dims)
            if getattr(tensor, "optional", False):
                field[-1].optional = True
    for key, value in parameters.items():
        config.parameters[key].CopyFrom(ModelParameter(string_value=value))
    for model in steps:
        step = ModelEnsembling.Step(model_name=model.name, model_version=-1)
        step.input_map.update({tensor.name: tensor.name for tensor in model.input})
        wanted = (tensor.name for tensor in model.output if tensor.name in taken or tensor.name in outputs)
        step.output_map.update({each: each for each in wanted})
        config.ensemble_scheduling.step.append(step)
    return config
