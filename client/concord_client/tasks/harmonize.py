"""Harmonizing: one part of a photograph is matched to the rest."""

from dataclasses import dataclass
from typing import ClassVar

from concord_client.tasks.fields import Encoded, received, sent
from concord_client.tasks.request import Answer, Request


@dataclass(frozen=True)
class Harmonized(Answer):
    """A harmonized photograph.

    Attributes:
        image: PNG of the size of the input.
        mask: 8-bit grey PNG, 255 where the text was found, and between 0 and 255 along a soft edge; None where a mask
            was given or none was asked for.
        score: mean probability of the predicted mask's pixels, 0..1, and 0 where nothing was found; None where a mask
            was given.
        truncated: whether the text was too long and only its beginning was used.
        seed: with which a model that draws noise gives this picture again; None for other models.
    """

    image: bytes = received("HARMONIZED", "the harmonized photograph, a PNG of the same size")
    mask: bytes | None = received("MASK", "the mask found for a text, a grey PNG, 255 where the part is", default=None)
    score: float | None = received("SCORE", "mean probability of that mask's pixels, 0..1", default=None)
    truncated: bool = received("TRUNCATED", "whether only the beginning of the text was used", default=False)
    seed: int | None = received("SEED", "gives the same picture again", default=None, printed=True)


@dataclass(frozen=True)
class Harmonize(Request[Harmonized]):
    """Matches one part of a photograph to the rest; every pixel outside that part stays as it was."""

    TASK: ClassVar[str] = "harmonize"
    ONE_OF: ClassVar[tuple[tuple[str, ...], ...]] = (("text", "mask"),)

    image: Encoded = sent("IMAGE", "the composite, encoded")
    text: str | None = sent("TEXT", "a referring expression that names the part", default=None)
    mask: Encoded | None = sent(
        "MASK", "an encoded image of the same size, white (128 and above) where the part is", default=None
    )
