"""Pictures that models draw for a text, and whether they show it: what the demo's own segmentation finds in them."""

import time
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np

from concord.arrays import Pixels
from concord.gates.pictures import SEED, fixed
from concord.masks import intersection_over_union
from concord.png import encode_png
from concord.scenes.colours import PAINTS, colour_word
from concord.scenes.scene import mean_colour
from concord_client import Client, Edit, Edited, Generate, Generated, Pipeline, Request, Segment
from demo.pictures import decoded

_COMPACT = 0.5  # IoU of an object with its own box, from which on it is one thing and no scatter


@dataclass(frozen=True)
class Drawing:
    """A text, and the picture uint8 [H, W, 3] that a model drew for it.

    Attributes:
        before: the picture that a part of was drawn anew, of the same form; None where all is drawn.
    """

    text: str
    model: str
    picture: Pixels
    seconds: float
    before: Pixels | None = None

    @classmethod
    def of(
        cls, client: Client, pipeline: Pipeline, text: str, of: tuple[Pixels, Pixels] | None = None, seed: int = SEED
    ) -> "Drawing":
        """Has a model draw a text, or edit a picture [H, W, 3] where its mask [H, W] is."""
        request: Request[Any] = Generate(text)
        if of is not None:
            request = Edit(encode_png(of[0]), encode_png(of[1]), text)
        began = time.perf_counter()
        drawn: Generated | Edited = client.run(request, model=pipeline.model, settings=fixed(pipeline, seed))
        seconds = time.perf_counter() - began
        return cls(text, pipeline.model, decoded(drawn.image), seconds, of[0] if of else None)

    def row(self) -> dict[str, Any]:
        """What is told of it, without the pictures."""
        return {"text": self.text, "model": self.model, "seconds": self.seconds}


def shows(client: Client, drawing: Drawing, text: str) -> list[float]:
    """Whether an object is found for a text, as 0 or 1, and whether its colour is the one that the text says.

    The second is NaN for a text without a colour.
    """
    mask = decoded(client.run(Segment(encode_png(drawing.picture), text)).mask)
    inside = mask > 0
    said = next((word for word in text.split() if word in PAINTS), None)
    is_found = bool(inside.any()) and intersection_over_union(mask, _box(mask)) >= _COMPACT
    is_right = is_found and said == colour_word(mean_colour(drawing.picture[inside]))
    return [float(is_found), float("nan") if said is None else float(is_right)]


def _box(mask: Pixels) -> Pixels:
    """The upright rectangle around a mask, filled."""
    x, y, width, height = cv2.boundingRect(mask)
    filled = np.zeros_like(mask)
    filled[y : y + height, x : x + width] = 255
    return filled
