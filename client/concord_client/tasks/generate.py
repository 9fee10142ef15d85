"""Generating: a picture of what a text describes."""

from dataclasses import dataclass
from typing import ClassVar

from concord_client.tasks.fields import received, sent
from concord_client.tasks.request import Answer, Request


@dataclass(frozen=True)
class Generated(Answer):
    """A generated picture.

    Attributes:
        image: PNG.
        truncated: whether the text was too long and only its beginning was used.
        seed: gives this picture again.
    """

    image: bytes = received("GENERATED", "the generated picture, a PNG")
    truncated: bool = received("TRUNCATED", "whether only the beginning of the text was used", default=False)
    seed: int | None = received("SEED", "gives the same picture again", default=None, printed=True)


@dataclass(frozen=True)
class Generate(Request[Generated]):
    """Makes a picture of what a text describes."""

    TASK: ClassVar[str] = "generate"

    text: str = sent("TEXT", "what the picture is to show")
