"""Selecting: the part of a photograph that a person points at."""

from dataclasses import dataclass
from typing import ClassVar

from concord_client.tasks.fields import Encoded, Numbers, received, sent
from concord_client.tasks.request import Answer, Request


@dataclass(frozen=True)
class Selected(Answer):
    """The parts of a photograph that may be meant.

    Attributes:
        masks: one to three 8-bit grey PNGs of the size of the input, 255 where the part is and 0 elsewhere; the one
            that is most likely meant first.
        scores: how good each is, 0..1, falling.
    """

    masks: tuple[bytes, ...] = received("MASKS", "grey PNGs of the photograph's size, the best first")
    scores: tuple[float, ...] = received("SCORES", "how good each mask is, 0..1", printed=True)


@dataclass(frozen=True)
class Select(Request[Selected]):
    """Finds the part of a photograph that points and a box show.

    Points and box are in pixels of the upright photograph, from its corner. Which of them are needed depends on the
    model; of those that take them, every one takes points, a box, or both.
    """

    TASK: ClassVar[str] = "select"

    image: Encoded = sent("IMAGE", "the photograph, encoded")
    points: Numbers | None = sent(
        "POINTS",
        "x, y and 1 or 0 for each point: 1 where the part is, 0 where it is not",
        default=None,
        example=(0, 0, 1),
    )
    box: Numbers | None = sent(
        "BOX", "left, top, right and bottom of a box around the part", default=None, example=(0, 0, 1, 1)
    )
