"""Inpainting: a hole in a photograph is filled from what is around it."""

from dataclasses import dataclass
from typing import ClassVar

from concord_client.tasks.fields import Encoded, received, sent
from concord_client.tasks.request import Answer, Request


@dataclass(frozen=True)
class Inpainted(Answer):
    """A photograph without a hole.

    Attributes:
        image: PNG of the size of the input.
        seed: with which a model that draws noise gives this picture again; None for other models.
    """

    image: bytes = received("INPAINTED", "the photograph with its hole filled, a PNG of the same size")
    seed: int | None = received("SEED", "gives the same picture again", default=None, printed=True)


@dataclass(frozen=True)
class Inpaint(Request[Inpainted]):
    """Fills a hole in a photograph from what is around it; every pixel outside the hole stays as it was."""

    TASK: ClassVar[str] = "inpaint"

    image: Encoded = sent("IMAGE", "the photograph, encoded")
    mask: Encoded = sent("MASK", "an encoded image of the same size, white (128 and above) where the hole is")
