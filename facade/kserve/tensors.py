"""What a pipeline takes and answers over KServe: the tensors of its task and its settings, most of one value. Pure.

Whether bytes are an image or a text is what the pipeline's task declares of the input.
"""

import binascii
import struct
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias, cast

import numpy as np
from pydantic import JsonValue

from concord_client.catalogue import TIMEOUT, Pipeline
from concord_client.inference import DATATYPES
from concord_client.settings import Setting, SettingValue
from concord_client.tasks import TASKS
from concord_client.tasks.fields import Kind, TensorField
from facade.kserve.shapes import PipelineMetadata, TensorMetadata
from facade.problems import Problem
from facade.work.requests import Task

Input: TypeAlias = TensorField | Setting

SHAPE = [1, 1]
"""Of every input that is not numbers."""

MAX_NUMBERS = 4096
"""That an input of any number may have."""

IN_JSON = "base64 without line breaks, or a data URL of it"
_BYTES = "BYTES"
_OF_KINDS: Mapping[Kind, str] = {
    "image": _BYTES,
    "text": _BYTES,
    "boolean": "BOOL",
    "integer": "INT64",
    "number": "FP32",
    "numbers": "FP32",
    "images": _BYTES,
}
_NUMBERS = {datatype: kind for kind, datatype in DATATYPES.items() if datatype != _BYTES}
_DATA_URL, _IN_BASE64 = "data:", ";base64"
_CHARACTERS = 2**18
"""Of base64 that are read at a time, so that other threads get their turns; whole groups of four."""


@dataclass(frozen=True)
class Tensors:
    """The inputs and outputs of one pipeline, by the names of their tensors."""

    task: Task
    inputs: Mapping[str, Input]
    outputs: Mapping[str, TensorField]

    @classmethod
    def of(cls, pipeline: Pipeline) -> "Tensors":
        """The tensors of a pipeline whose task is known; without those that tell of steps, which one answer cannot."""
        task = next(each for each in TASKS if pipeline.task == each.TASK)
        fields = {each.tensor: each for each in task.fields() if each.tensor in pipeline.inputs}
        timeout = {TIMEOUT: Setting(TIMEOUT, "TYPE_FP32")} if pipeline.has_deadline else {}
        answered = {each.tensor: each for each in task.answer_type().fields() if each.tensor in pipeline.outputs}
        return cls(task, {**fields, **pipeline.settings, **timeout}, answered)

    @property
    def images(self) -> int:
        """How many of the inputs are images."""
        return sum(is_image(each) for each in self.inputs.values())

    def tensor_of(self, field: str | None) -> str | None:
        """The tensor that a field is for people who fill in forms; any other word as it is."""
        names = {getattr(each, "public_name", each.name): name for name, each in self.inputs.items()}
        return names.get(field or "", field)

    def metadata(self, name: str) -> PipelineMetadata:
        return PipelineMetadata(
            name=name,
            inputs=[
                TensorMetadata(name=tensor, datatype=datatype_of(each), shape=shape_of(each))
                for tensor, each in self.inputs.items()
            ],
            outputs=[
                TensorMetadata(name=tensor, datatype=datatype_of(each), shape=shape_of(each))
                for tensor, each in self.outputs.items()
            ],
        )


def is_image(tensor: Input) -> bool:
    return isinstance(tensor, TensorField) and tensor.kind == "image"


def is_numbers(tensor: Input) -> bool:
    return isinstance(tensor, TensorField) and tensor.kind == "numbers"


def shape_of(tensor: Input) -> list[int]:
    """Its shape, -1 where that is free."""
    several = isinstance(tensor, TensorField) and tensor.kind in ("numbers", "images")
    return [1, -1] if several else SHAPE


def datatype_of(tensor: Input) -> str:
    """KServe's name for its type."""
    if isinstance(tensor, TensorField):
        return _OF_KINDS[tensor.kind]
    return tensor.datatype.removeprefix("TYPE_").replace("STRING", _BYTES)


def read_binary(name: str, tensor: Input, raw: memoryview, count: int = 1) -> SettingValue | bytes | list[float]:
    """The value of an input that came as bytes: an image as it is, anything else as Python's own type.

    The count is how many values its shape says.

    Raises:
        Problem: it is not one value of the tensor's type, or a text that is not UTF-8.
    """
    datatype = datatype_of(tensor)
    if datatype != _BYTES:
        kind = _NUMBERS[datatype]
        size = np.dtype(kind).itemsize * count
        if len(raw) != size:
            raise Problem("invalid_tensor", f"it has {len(raw)} bytes", field=name, allowed=f"{size} bytes")
        values: list[Any] = np.frombuffer(raw, kind).tolist()
        return values if is_numbers(tensor) else cast(SettingValue, values[0])
    if len(raw) < 4 or struct.unpack_from("<I", raw)[0] != len(raw) - 4:
        allowed = "one value, with its length in 4 bytes before it, little-endian"
        raise Problem("invalid_tensor", f"its {len(raw)} bytes are not one value", field=name, allowed=allowed)
    if is_image(tensor):
        return bytes(raw[4:])
    try:
        return str(raw[4:], "utf-8")
    except UnicodeDecodeError:
        raise Problem("invalid_text", "not UTF-8", field=name, allowed="UTF-8") from None


def read_json(name: str, tensor: Input, data: list[JsonValue], count: int = 1) -> JsonValue | bytes:
    """The value of an input that came as JSON, in as many lists as it likes; whether a setting is one is not looked at.

    Raises:
        Problem: it is not one value, or not an image in base64, or not a text.
    """
    if is_numbers(tensor):
        return _flat(name, data, count)
    value: JsonValue = data
    while isinstance(value, list):
        if len(value) != 1:
            raise Problem("invalid_tensor", f"it has {len(value)} values", field=name, allowed="one value")
        value = value[0]
    if isinstance(tensor, Setting):
        return value
    if not isinstance(value, str):
        allowed = IN_JSON if is_image(tensor) else "a text"
        raise Problem("invalid_tensor", "it is no text", field=name, allowed=allowed)
    return _decoded(name, value) if is_image(tensor) else value


def raw(tensor: TensorField, value: object) -> list[bytes]:
    """An output as bytes, in pieces."""
    if datatype_of(tensor) != _BYTES:
        return [np.asarray(value, _NUMBERS[datatype_of(tensor)]).tobytes()]
    pieces = []
    for each in value if isinstance(value, tuple) else (value,):
        content = each.encode() if isinstance(each, str) else each
        assert isinstance(content, bytes)
        pieces += [struct.pack("<I", len(content)), content]
    return pieces


def _flat(name: str, data: JsonValue, count: int) -> list[JsonValue]:
    """The numbers in lists, of which there have to be so many."""
    lists, numbers = [data], list[JsonValue]()
    while lists:
        each = lists.pop()
        if isinstance(each, list):
            lists += reversed(each)
        elif isinstance(each, int | float) and not isinstance(each, bool):
            numbers.append(each)
        else:
            raise Problem("invalid_tensor", "not all of it is numbers", field=name, allowed="numbers")
    if len(numbers) != count:
        raise Problem(
            "invalid_tensor", f"it has {len(numbers)} values", field=name, allowed=f"{count}, as its shape says"
        )
    return numbers


def _decoded(name: str, text: str) -> bytes:
    start = 0
    if text.startswith(_DATA_URL):
        start = text.find(",") + 1
        if not text[:start].removesuffix(",").endswith(_IN_BASE64):
            raise Problem("invalid_image", "the data URL is not in base64", field=name, allowed=IN_JSON)
    content = bytearray()
    try:
        for first in range(start, len(text), _CHARACTERS):
            content += binascii.a2b_base64(text[first : first + _CHARACTERS], strict_mode=True)
    except ValueError:
        raise Problem("invalid_image", "it is not in base64", field=name, allowed=IN_JSON) from None
    return bytes(content)
