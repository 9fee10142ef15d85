"""Editing: what a mask shows is changed into what a text describes."""

from dataclasses import dataclass
from typing import ClassVar

from concord_client.tasks.fields import Encoded, received, sent
from concord_client.tasks.request import Answer, Request


@dataclass(frozen=True)
class Edited(Answer):
    """An edited photograph, and other answers to the same request where several were asked for.

    Attributes:
        image: PNG of the size of the input; of several candidates the best.
        candidates: the others, PNGs like `image`, the best first; none where one was asked for.
        scores: how well each candidate shows the text, falling, that of `image` first; None where nothing ranks them,
            which are then in the order in which they were made.
        truncated: whether the text was too long and only its beginning was used.
        seed: with which the same request has this answer again.
    """

    image: bytes = received("EDITED", "the edited photograph, a PNG of the same size; of several candidates the best")
    candidates: tuple[bytes, ...] = received("CANDIDATES", "the other candidates, the best first", default=())
    scores: tuple[float, ...] | None = received(
        "SCORES", "how well each candidate shows the text, that of the image first", default=None, printed=True
    )
    truncated: bool = received("TRUNCATED", "whether only the beginning of the text was used", default=False)
    seed: int | None = received("SEED", "gives the same answer again", default=None, printed=True)


@dataclass(frozen=True)
class Edit(Request[Edited]):
    """Changes a part of a photograph into what a text describes; every pixel outside the part stays as it was."""

    TASK: ClassVar[str] = "edit"

    image: Encoded = sent("IMAGE", "the photograph, encoded")
    mask: Encoded = sent("MASK", "an encoded image of the same size, white (128 and above) where the part is")
    text: str = sent("TEXT", "what the part is to show")
