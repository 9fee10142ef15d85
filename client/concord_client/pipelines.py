"""The public pipelines: their tensors, what is sent to them and what comes back.

Pure: nothing here knows a protocol, so that both clients and both protocols share it.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from os import PathLike
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from concord_client.errors import ServerError

SEGMENT = "segment"
HARMONIZE = "harmonize"
SEGMENT_HARMONIZE = "segment_harmonize"

Encoded: TypeAlias = bytes | PathLike[str]
"""An encoded image (JPEG, PNG, ...): its bytes, or the path of a file that holds them."""

Value: TypeAlias = bytes | np.int32 | np.int64 | np.float32 | np.bool_
"""An input: a byte string, or a number of the type that the server wants."""

Answer: TypeAlias = Mapping[str, NDArray[Any]]
"""Tensor name to tensor, as the server sent it: one sample, so every shape begins with 1."""


@dataclass(frozen=True)
class Question:
    """One inference request.

    Args:
        model: name of the pipeline.
        inputs: tensor name to value; every input of a public pipeline is one value, shape [1, 1] on the wire.
        outputs: names of the tensors to compute and send back.
        headers: sent along, as gRPC metadata or HTTP headers.
    """

    model: str
    inputs: Mapping[str, Value]
    outputs: tuple[str, ...]
    headers: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Harmonized:
    """A harmonized photograph.

    Args:
        image: PNG of the size of the input.
        mask: 8-bit grey PNG, 255 where the text was found; None where a mask was given or none was asked for.
        score: mean probability of the predicted mask's pixels, 0..1, and 0 where nothing was found; None where a mask
            was given.
        truncated: whether the text was too long and only its beginning was used.
        seed: with which a diffusion model gives this picture again; None for other models.
    """

    image: bytes
    mask: bytes | None
    score: float | None
    truncated: bool
    seed: int | None = None


@dataclass(frozen=True)
class Segmented:
    """The part of a photograph that a text names.

    Args:
        mask: 8-bit grey PNG of the size of the input, 255 where the text was found and 0 elsewhere.
        score: mean probability of the mask's pixels, 0..1; 0 where nothing was found.
        truncated: whether the text was too long and only its beginning was used.
    """

    mask: bytes
    score: float
    truncated: bool


def read_encoded(source: Encoded) -> bytes:
    """The bytes of an image or mask.

    Raises:
        OSError: the file cannot be read.
        TypeError: neither bytes nor a path; a path as ``str`` is refused, a text may have been meant.
    """
    if isinstance(source, bytes):
        return source
    if isinstance(source, PathLike):
        return Path(source).read_bytes()
    raise TypeError(f"an encoded image is bytes or a pathlib.Path, not {type(source).__name__}")


def harmonize_question(image: bytes, text: str | None, mask: bytes | None, return_mask: bool) -> Question:
    """Asks `HARMONIZE` where a mask is given and `SEGMENT_HARMONIZE` where a text is.

    Raises:
        ValueError: neither or both were given.
    """
    if mask is not None and text is None:
        return Question(HARMONIZE, {"IMAGE": image, "MASK": mask}, ("HARMONIZED",))
    if text is None or mask is not None:
        raise ValueError("give either a text or a mask")
    outputs = ("HARMONIZED", "SCORE", "TRUNCATED", *(("MASK",) if return_mask else ()))
    return Question(SEGMENT_HARMONIZE, {"IMAGE": image, "TEXT": encode_text(text)}, outputs)


def segment_question(image: bytes, text: str) -> Question:
    """Asks `SEGMENT`."""
    return Question(SEGMENT, {"IMAGE": image, "TEXT": encode_text(text)}, ("MASK", "SCORE", "TRUNCATED"))


def read_harmonized(answer: Answer) -> Harmonized:
    """The answer to `harmonize_question`, or the last one to `concord_client.diffusion.diffuse_question`.

    Raises:
        ServerError: a tensor is missing.
    """
    return Harmonized(
        image=_value(answer, "HARMONIZED"),
        mask=_value(answer, "MASK") if "MASK" in answer else None,
        score=float(_value(answer, "SCORE")) if "SCORE" in answer else None,
        truncated=bool(_value(answer, "TRUNCATED")) if "TRUNCATED" in answer else False,
        seed=int(_value(answer, "SEED")) if "SEED" in answer else None,
    )


def read_segmented(answer: Answer) -> Segmented:
    """The answer to `segment_question`.

    Raises:
        ServerError: a tensor is missing.
    """
    return Segmented(
        mask=_value(answer, "MASK"), score=float(_value(answer, "SCORE")), truncated=bool(_value(answer, "TRUNCATED"))
    )


def encode_text(text: str) -> bytes:
    """A text as it is sent."""
    # A command line that is not UTF-8 reaches Python as lone surrogates. They become bytes that are not UTF-8 either,
    # so the server refuses them with its own typed error.
    return text.encode("utf-8", "surrogatepass")


def _value(answer: Answer, name: str) -> Any:
    tensor = answer.get(name)
    if tensor is None or tensor.size != 1:
        raise ServerError(f"the answer has no {name}")
    return tensor.item()
