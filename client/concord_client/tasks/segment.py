"""Segmenting: the part of a photograph that a text names."""

from dataclasses import dataclass
from typing import ClassVar

from concord_client.tasks.fields import Encoded, received, sent
from concord_client.tasks.request import Answer, Request


@dataclass(frozen=True)
class Segmented(Answer):
    """The part of a photograph that a text names.

    Attributes:
        mask: 8-bit grey PNG of the size of the input, 255 where the text was found, 0 elsewhere, and between along a
            soft edge.
        score: mean probability of the mask's pixels, 0..1; 0 where nothing was found.
        truncated: whether the text was too long and only its beginning was used.
    """

    mask: bytes = received("MASK", "a grey PNG of the photograph's size, 255 where the part is")
    score: float = received("SCORE", "mean probability of the mask's pixels, 0..1", printed=True)
    truncated: bool = received("TRUNCATED", "whether only the beginning of the text was used")


@dataclass(frozen=True)
class Segment(Request[Segmented]):
    """Finds the part of a photograph that a text names."""

    TASK: ClassVar[str] = "segment"

    image: Encoded = sent("IMAGE", "the photograph, encoded")
    text: str = sent("TEXT", "a referring expression that names the part")
