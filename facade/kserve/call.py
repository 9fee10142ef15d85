"""One request as it comes over KServe, and its answer as it goes: JSON, which the bytes of tensors may follow."""

import io
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, cast

from pydantic import ValidationError

from concord_client.catalogue import TIMEOUT, Pipeline
from concord_client.settings import Setting
from concord_client.tasks.fields import TensorField
from concord_client.tasks.request import Answer, Request
from facade.access.declared import ENVELOPE_BYTES
from facade.kserve.shapes import InferInput, InferOutput, InferRequest, InferResponse, RequestedOutput
from facade.kserve.tensors import MAX_NUMBERS, Tensors, datatype_of, raw, read_binary, read_json, shape_of
from facade.problems import Problem
from facade.work.requests import Settings, made

HEADER_LENGTH = "Inference-Header-Content-Length"
MAX_JSON_BYTES = 32 * 2**20
"""Of the JSON of a request: it is parsed in one step, which holds up everything else."""

MAX_JSON_PARTS = 4096
"""Brackets and commas in it: what is made of each takes many times its place."""

_PARTS = (b",", b"[", b"{")
_SHOWN = 64
_FIELDS = "what a request of KServe v2 has, see /openapi.json"
_ODD = {"missing": ("missing_field", "it is missing"), "extra_forbidden": ("unexpected_field", "it is not known here")}


class Body(io.BytesIO):
    """A body as it arrives; refuses JSON of too many parts.

    Args:
        said: how many of its first bytes are JSON; None for all.
    """

    def __init__(self, said: int | None) -> None:
        super().__init__()
        self._said = said
        self._parts = 0

    @property
    def json_bytes(self) -> int:
        """How many of its first bytes are JSON."""
        return self.tell() if self._said is None else self._said

    def write(self, piece: Any, /) -> int:
        json = piece if self._said is None else piece[: max(0, self._said - self.tell())]
        self._parts += sum(map(json.count, _PARTS))
        if self._parts > MAX_JSON_PARTS:
            allowed = f"at most {MAX_JSON_PARTS} brackets and commas"
            raise Problem("malformed_body", "the JSON has too many parts", allowed=allowed)
        return super().write(piece)


@dataclass(frozen=True)
class Call:
    """A request that was read.

    Attributes:
        timeout: seconds; None for as long as the pipeline may take.
        outputs: those that are wanted, in their order, and whether as bytes after the JSON.
    """

    id: str
    request: Request[Any]
    settings: Settings
    timeout: float | None
    outputs: tuple[tuple[TensorField, bool], ...]

    @property
    def without(self) -> list[str]:
        """The fields of the answer that are neither wanted nor always there."""
        wanted = {field.name for field, _ in self.outputs}
        every = self.request.answer_type().fields()
        return [each.name for each in every if not each.required and each.name not in wanted]

    def answered(self, pipeline: str, job: str, answer: Answer) -> tuple[InferResponse, list[bytes]]:
        """What is told of an answer, and what follows it; outputs that it lacks are left out."""
        told, follow = InferResponse(model_name=pipeline, id=self.id or job, outputs=[]), []
        for field, is_binary in self.outputs:
            value = getattr(answer, field.name)
            if value is None:
                continue
            values = list(value) if isinstance(value, tuple) else [value]
            output = InferOutput(name=field.tensor, datatype=datatype_of(field), shape=[1, len(values)])
            if is_binary:
                pieces = raw(field, value)
                output.parameters = {"binary_data_size": sum(map(len, pieces))}
                follow += pieces
            else:
                output.data = values
            told.outputs.append(output)
        return told, follow


def json_length(header: str | None) -> int | None:
    """The bytes of a body that are JSON, as its header says; None for all of it.

    Raises:
        Problem: it is no number, or larger than JSON may be.
    """
    if header is None:
        return None
    if re.fullmatch("[0-9]{1,9}", header) and int(header) <= MAX_JSON_BYTES:
        return int(header)
    allowed = f"a whole number from 0 to {MAX_JSON_BYTES}"
    raise Problem("malformed_body", f"{header[:_SHOWN]!r} is not allowed", field=HEADER_LENGTH, allowed=allowed)


def largest_body(tensors: Tensors, said: int | None, max_bytes: int) -> int:
    """Bytes that a request may have whose images may have `max_bytes` each; of its JSON it says how long that is."""
    if said is None:
        return min(MAX_JSON_BYTES, tensors.images * (max_bytes * 4 // 3 + 4) + ENVELOPE_BYTES)
    return said + tensors.images * (max_bytes + 4) + ENVELOPE_BYTES


def read(body: Body, pipeline: Pipeline, tensors: Tensors) -> Call:
    """Reads a whole body, which is then closed.

    Raises:
        Problem: it is not a request to the pipeline, or an input is not what the pipeline takes.
        InvalidInput: a setting is not allowed.
    """
    with body:
        length, content = body.json_bytes, body.getvalue()
    asked, follow = _parsed(content[:length]), memoryview(content)[length:]
    sizes = [each.parameters.binary_data_size for each in asked.inputs]
    if sum(size or 0 for size in sizes) != len(follow):
        problem = f"{len(follow)} bytes follow {length} bytes of JSON"
        allowed = f"as many as the inputs' binary_data_size add up to, after {HEADER_LENGTH} bytes of JSON"
        raise Problem("malformed_body", problem, field=HEADER_LENGTH, allowed=allowed)
    values: dict[str, Any] = {}
    settings: dict[str, Any] = {}
    start = 0
    for given, size in zip(asked.inputs, sizes, strict=True):
        tensor = _declared(given, tensors.inputs, values.keys() | settings.keys())
        value: Any
        if size is None:
            value = read_json(given.name, tensor, cast(list[Any], given.data), given.shape[1])
        else:
            value = read_binary(given.name, tensor, follow[start : start + size], given.shape[1])
            start += size
        if isinstance(tensor, Setting):
            settings[given.name] = tensor.check(value)
        else:
            values[given.name] = value
    if missing := sorted(pipeline.required - values.keys()):
        raise Problem("missing_field", "it is missing", field=missing[0], allowed=", ".join(tensors.inputs))
    timeouts = [each for each in (asked.parameters.seconds, settings.pop(TIMEOUT, None)) if each is not None]
    return Call(
        id=asked.id,
        request=made(tensors.task, {tensors.inputs[name].name: value for name, value in values.items()}),
        settings={pipeline.settings[name].public_name: value for name, value in settings.items()},
        timeout=min(timeouts, default=None),
        outputs=_wanted(asked, tensors.outputs),
    )


def _parsed(json: bytes) -> InferRequest:
    try:
        return InferRequest.model_validate_json(json)
    except ValidationError as error:
        found = error.errors(include_url=False, include_input=False, include_context=False)[0]
    where = _shown(".".join(map(str, found["loc"]))) or None
    if found["type"] in _ODD:
        raise Problem(*_ODD[found["type"]], field=where, allowed=_FIELDS)
    raise Problem("malformed_body", found["msg"], field=where, allowed=_FIELDS)


def _declared(given: InferInput, inputs: Mapping[str, Any], known: Any) -> Any:
    """The pipeline's input that is given, found to be given once, as it is declared, in one way."""
    name = _shown(given.name)
    if given.name not in inputs:
        allowed = ", ".join(inputs)
        raise Problem("unexpected_field", f"{name!r} is no input of this pipeline", field=name, allowed=allowed)
    if given.name in known:
        raise Problem("duplicate_field", "it is given twice", field=name, allowed="once")
    datatype = datatype_of(inputs[given.name])
    if given.datatype != datatype:
        problem = f"its datatype is {_shown(given.datatype)!r}"
        raise Problem("invalid_tensor", problem, field=name, allowed=datatype)
    shape = shape_of(inputs[given.name])
    free = len(given.shape) == 2 and shape[1] < 0 and given.shape[0] == 1 and 0 <= given.shape[1] <= MAX_NUMBERS
    if given.shape != shape and not free:
        problem = f"its shape is {_shown(str(given.shape[:8]))}"
        allowed = f"[1, N], N at most {MAX_NUMBERS}" if shape[1] < 0 else str(shape)
        raise Problem("invalid_tensor", problem, field=name, allowed=allowed)
    if (given.data is None) == (given.parameters.binary_data_size is None):
        problem = "it has no data" if given.data is None else "its data are given twice"
        raise Problem("invalid_tensor", problem, field=name, allowed="either data or binary_data_size")
    return inputs[given.name]


def _wanted(asked: InferRequest, outputs: Mapping[str, TensorField]) -> tuple[tuple[TensorField, bool], ...]:
    binary: dict[str, bool] = {}
    for each in asked.outputs or [RequestedOutput(name=name) for name in outputs]:
        name = _shown(each.name)
        if each.name not in outputs:
            allowed = ", ".join(outputs)
            raise Problem("unexpected_field", f"{name!r} is no output of this pipeline", field=name, allowed=allowed)
        if each.name in binary:
            raise Problem("duplicate_field", "it is asked for twice", field=name, allowed="once")
        said = each.parameters.binary_data
        binary[each.name] = asked.parameters.binary_data_output if said is None else said
    return tuple((outputs[name], is_binary) for name, is_binary in binary.items())


def _shown(words: str) -> str:
    return re.sub(r"[^\x20-\x7e]", "?", words[:_SHOWN])
