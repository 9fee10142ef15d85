"""The fields of requests and answers: each has a name for people, a tensor on the wire, and a description."""

import dataclasses
from collections.abc import Mapping, Sequence
from functools import cache
from os import PathLike
from pathlib import Path
from types import UnionType
from typing import Any, Literal, TypeAlias, Union, cast, get_args, get_origin, get_type_hints

import numpy as np
from numpy.typing import NDArray

from concord_client.errors import ServerError

Encoded: TypeAlias = bytes | PathLike[str]
"""An encoded image (JPEG, PNG, ...): its bytes, or the path of a file that holds them."""

Numbers: TypeAlias = Sequence[float] | Sequence[Sequence[float]]
"""Numbers one after the other, or in groups that are put one after the other."""

Tensors: TypeAlias = Mapping[str, NDArray[Any]]
"""Tensor name to tensor, as the server sent it: one sample, so every shape begins with 1."""

Kind: TypeAlias = Literal["image", "text", "boolean", "integer", "number", "numbers", "images"]
_KINDS: Mapping[Any, Kind] = {
    bytes: "image",
    str: "text",
    bool: "boolean",
    int: "integer",
    float: "number",
    Sequence: "numbers",
    tuple: "numbers",
}
_SEVERAL: tuple[Kind, ...] = ("numbers", "images")
"""Kinds of fields of any number of values."""


@dataclasses.dataclass(frozen=True)
class TensorField:
    """A field of a request or an answer.

    Attributes:
        name: of the attribute, and what people call it: a form field, a JSON key, a flag.
        tensor: its name on the wire.
        about: what it is, in a few words.
        kind: an image is encoded, numbers and images are tuples; numbers of a request are any sequence.
        default: where it is not given, or not answered; `dataclasses.MISSING` where it always is.
        printed: whether the command line prints it.
        example: of numbers in a request: some that any picture allows.
    """

    name: str
    tensor: str
    about: str
    kind: Kind
    default: Any = dataclasses.MISSING
    printed: bool = False
    example: tuple[float, ...] = ()

    @property
    def holds_images(self) -> bool:
        """Whether what it holds is encoded: one image or several."""
        return self.kind in ("image", "images")

    @property
    def required(self) -> bool:
        """Whether every request, or every answer, has it."""
        return self.default is dataclasses.MISSING

    def read(self, tensors: Tensors) -> Any:
        """The field's value from an answer.

        Raises:
            ServerError: the answer lacks it and it is required, or it does not hold one value where it has to.
        """
        tensor = tensors.get(self.tensor)
        if tensor is None and not self.required:
            return self.default
        if tensor is None or (self.kind not in _SEVERAL and tensor.size != 1):
            raise ServerError(f"the answer has no {self.tensor}")
        if self.kind in _SEVERAL:
            return tuple(np.ravel(tensor).tolist())
        return tensor.item().decode() if self.kind == "text" else tensor.item()


def sent(tensor: str, about: str, *, default: Any = dataclasses.MISSING, example: tuple[float, ...] = ()) -> Any:
    """A field of a request, see `TensorField`; its default is None where it need not be given."""
    return dataclasses.field(default=default, metadata={"tensor": tensor, "about": about, "example": example})


def received(tensor: str, about: str, *, default: Any = dataclasses.MISSING, printed: bool = False) -> Any:
    """A field of an answer, see `TensorField`; without a default the server has to send it."""
    return dataclasses.field(default=default, metadata={"tensor": tensor, "about": about, "printed": printed})


class Declared:
    """Base of requests and answers, dataclasses of `sent` and `received` fields."""

    @classmethod
    def fields(cls) -> tuple[TensorField, ...]:
        """What it holds."""
        return _fields(cast(Any, cls))


def read_encoded(source: Encoded) -> bytes:
    """The bytes of an image.

    Raises:
        OSError: the file cannot be read.
        TypeError: neither bytes nor a path; a path as ``str`` is refused, a text may have been meant.
    """
    if isinstance(source, bytes):
        return source
    if isinstance(source, PathLike):
        return Path(source).read_bytes()
    raise TypeError(f"an encoded image is bytes or a pathlib.Path, not {type(source).__name__}")


@cache
def _fields(declared: Any) -> tuple[TensorField, ...]:
    types = get_type_hints(declared)
    return tuple(
        TensorField(name=each.name, kind=_kind(types[each.name]), default=each.default, **each.metadata)
        for each in dataclasses.fields(declared)
    )


def _kind(declared: Any) -> Kind:
    alternatives = get_args(declared) if get_origin(declared) in (UnionType, Union) else (declared,)
    kind = _KINDS[get_origin(alternatives[0]) or alternatives[0]]
    return "images" if kind == "numbers" and bytes in get_args(alternatives[0]) else kind
