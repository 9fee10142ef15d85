"""Whether a drawn picture shows what its text says: what the demo's own segmentation finds in it for a text."""

from dataclasses import dataclass

import cv2
import numpy as np

from concord.arrays import Pixels
from concord.gates.pictures import fixed
from concord.masks import intersection_over_union
from concord.png import encode_png
from concord.scenes.colours import PAINTS, colour_word
from concord.scenes.scene import mean_colour
from concord_client import Client, Generate, Pipeline, Segment
from demo.pictures import decoded

_COMPACT = 0.5  # IoU of an object with its own box, from which on it is one thing and no scatter


@dataclass(frozen=True)
class Drawing:
    """A text, and the picture uint8 [H, W, 3] that was drawn for it."""

    text: str
    picture: Pixels

    @classmethod
    def of(cls, client: Client, pipeline: Pipeline, text: str) -> "Drawing":
        """Has a model draw a text."""
        return cls(text, decoded(client.run(Generate(text), model=pipeline.model, settings=fixed(pipeline)).image))


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
