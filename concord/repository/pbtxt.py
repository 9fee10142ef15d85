"""Triton's `ModelConfig` as text: read, and written for people with one tensor, step or parameter a line."""

import json
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

from google.protobuf import text_format  # type: ignore[import-untyped]
from tritonclient.grpc.model_config_pb2 import (  # type: ignore[import-untyped]
    DataType,
    ModelConfig,
    ModelInstanceGroup,
)

from concord.errors import ServerFailure
from concord.model_config import UNLESS_EMPTY
from concord.repository.profiles import HINT_BF16, PATIENCE

_REASONS = {
    "session.dynamic_block_base": "Small blocks of work: a thread that other models delay does not delay the others.",
    "session.intra_op.allow_spinning": "Threads that spin take the CPU from the other models' processes.",
    "memory.enable_memory_arena_shrinkage": "Gigabytes of activations at large resolutions: freed after each run.",
    PATIENCE: "A canary waits for the runs before it: minutes, for a large network on a CPU.",
    UNLESS_EMPTY: "Samples in which this input is 0 everywhere are answered with zeros, by the backends in Python.",
    HINT_BF16: "What is FP32 in the file is computed in BF16, where the CPU has it.",
}
"""Comments by parameter."""


def read(path: Path, name: str) -> ModelConfig:
    """A model's configuration; raises ServerFailure, which calls it ``name``, if it cannot be read."""
    try:
        return text_format.Parse(path.read_text(), ModelConfig())
    except (OSError, ValueError, text_format.ParseError) as error:
        raise ServerFailure(name, f"not a model configuration ({error})") from error


def write(config: ModelConfig, comment: str) -> str:
    """The text of a configuration, behind a comment of one line.

    Raises:
        ValueError: the configuration has a field that is not written here.
    """
    text = "\n".join((f"# {comment}", *_lines(config))) + "\n"
    if text_format.Parse(text, ModelConfig()) != config:
        raise ValueError(f"{config.name}: has a field that `concord.repository.pbtxt` does not write")
    return text


def _lines(config: ModelConfig) -> Iterator[str]:
    yield f"name: {_quoted(config.name)}"
    for field in ("backend", "platform", "default_model_filename"):
        if value := getattr(config, field):
            yield f"{field}: {_quoted(value)}"
    yield f"max_batch_size: {config.max_batch_size}"
    yield from _list("input", config.input, _tensor)
    yield from _list("output", config.output, _tensor)
    for group in config.instance_group:
        kind = ModelInstanceGroup.Kind.Name(group.kind)
        yield f"instance_group [ {{ count: {group.count} kind: {kind} }} ]"
    yield f"version_policy {{ latest {{ num_versions: {config.version_policy.latest.num_versions} }} }}"
    for key in sorted(config.parameters):
        if key in _REASONS:
            yield f"# {_REASONS[key]}"
        value = _quoted(config.parameters[key].string_value)
        yield f"parameters {{ key: {_quoted(key)} value {{ string_value: {value} }} }}"
    if config.HasField("dynamic_batching"):
        delay = config.dynamic_batching.max_queue_delay_microseconds
        yield f"dynamic_batching {{ max_queue_delay_microseconds: {delay} }}" if delay else "dynamic_batching { }"
    yield from _list("model_warmup", config.model_warmup, _warmup)
    if config.HasField("ensemble_scheduling"):
        yield "ensemble_scheduling {"
        yield from (f"  {line}" for line in _list("step", config.ensemble_scheduling.step, _step))
        yield "}"


def _list(name: str, values: Iterable[Any], write: Callable[[Any], list[str]]) -> Iterator[str]:
    """A repeated field; lines of a value that has several of them lie in braces of their own."""
    blocks = []
    for lines in map(write, values):
        inner = [f"  {{ {lines[0]} }}"] if len(lines) == 1 else ["  {", *(f"    {line}" for line in lines), "  }"]
        blocks.append("\n".join(inner))
    if blocks:
        yield from (f"{name} [\n" + ",\n".join(blocks) + "\n]").split("\n")


def _tensor(tensor: Any) -> list[str]:
    optional = " optional: true" if getattr(tensor, "optional", False) else ""
    return [f"name: {_quoted(tensor.name)} {_shape(tensor)}{optional}"]


def _warmup(sample: Any) -> list[str]:
    lines = [f"name: {_quoted(sample.name)}", f"batch_size: {sample.batch_size}"]
    for name in sorted(sample.inputs):
        given = sample.inputs[name]
        value = f"{_shape(given)} {given.WhichOneof('input_data_type')}: true"
        lines.append(f"inputs {{ key: {_quoted(name)} value {{ {value} }} }}")
    return lines


def _shape(tensor: Any) -> str:
    return f"data_type: {DataType.Name(tensor.data_type)} dims: [ {', '.join(map(str, tensor.dims))} ]"


def _step(step: Any) -> list[str]:
    maps = [
        f"{field} {{ key: {_quoted(key)} value: {_quoted(names[key])} }}"
        for field, names in (("input_map", step.input_map), ("output_map", step.output_map))
        for key in sorted(names)
    ]
    return [f"model_name: {_quoted(step.model_name)}", f"model_version: {step.model_version}", *maps]


def _quoted(text: str) -> str:
    return json.dumps(text, ensure_ascii=False)
