"""Upscaling: a photograph is made larger, with the detail that it would have."""

from dataclasses import dataclass
from typing import ClassVar

from concord_client.tasks.fields import Encoded, received, sent
from concord_client.tasks.request import Answer, Request


@dataclass(frozen=True)
class Upscaled(Answer):
    """A larger photograph.

    Attributes:
        image: PNG of four times the width and the height of the input.
        seed: with which a model that draws noise gives this picture again; None for other models.
    """

    image: bytes = received("UPSCALED", "the photograph, four times as wide and as high, a PNG")
    seed: int | None = received("SEED", "gives the same picture again", default=None, printed=True)


@dataclass(frozen=True)
class Upscale(Request[Upscaled]):
    """Makes a photograph four times as wide and as high, with the detail that it would have."""

    TASK: ClassVar[str] = "upscale"
    SCALE: ClassVar[int] = 4

    image: Encoded = sent("IMAGE", "the photograph, encoded")
