"""What is seen of a part at once: its colour, place, size and shape, each only where most people would say so."""

import colorsys
from collections import Counter
from dataclasses import dataclass
from typing import Self

import cv2
import numpy as np

from annotation.picture import Picture
from concord.arrays import Floats, Pixels
from concord.scenes.colours import colour_word

_SAMPLES = 500  # pixels whose colours are named
_MOSTLY, _PARTLY = 0.5, 0.25
_NEAR, _FAR = 0.4, 0.6  # of the picture's sides
_LARGE, _SMALL = 0.25, 0.03  # of its pixels
_LONG = 1.8
_ROUND, _FULL = 0.82, 0.92


@dataclass(frozen=True)
class Traits:
    """A word for each, empty where there is none.

    Attributes:
        colour: one, or two such as "red and white".
        column, row: ``left`` or ``right``, ``top`` or ``bottom``.
        size: ``large`` or ``small``, of the picture.
        shape: ``tall``, ``wide``, ``round`` or ``square``.
    """

    colour: str = ""
    column: str = ""
    row: str = ""
    size: str = ""
    shape: str = ""

    @classmethod
    def of(cls, picture: Picture) -> Self:
        """Looks at a picture's part."""
        rows, columns = np.nonzero(picture.mask)
        share = rows.size / picture.mask.size
        return cls(
            colour=_colour(picture.composite[rows, columns]),
            column=_side(columns.mean() / picture.width, "left", "right"),
            row=_side(rows.mean() / picture.height, "top", "bottom"),
            size="large" if share > _LARGE else "small" if share < _SMALL else "",
            shape=_shape(picture.mask),
        )


def _colour(pixels: Pixels) -> str:
    """The name that half of the pixels [N, 3] have, or the two that a quarter each have."""
    some = pixels[:: max(len(pixels) // _SAMPLES, 1)].astype(np.float32) / 255
    names = Counter(_name(each) for each in some)
    del names[""]
    counted = [(name, number / len(some)) for name, number in names.most_common(2)]
    if counted and counted[0][1] >= _MOSTLY:
        return counted[0][0]
    return " and ".join(name for name, _ in counted) if [share >= _PARTLY for _, share in counted] == [True] * 2 else ""


def _name(rgb: Floats) -> str:
    hue, saturation, value = colorsys.rgb_to_hsv(*(float(each) for each in rgb))
    if saturation < 0.12 and 0.3 < value < 0.65:
        return "grey"
    if 0.04 < hue < 0.12 and saturation > 0.3 and 0.2 < value < 0.55:
        return "brown"
    return colour_word(rgb) or ""


def _side(centre: float, near: str, far: str) -> str:
    return near if centre < _NEAR else far if centre > _FAR else ""


def _shape(mask: Pixels) -> str:
    """By the box around the part, and how much of it, or of the circle around it, the part fills."""
    area = np.count_nonzero(mask)
    _, _, width, height = cv2.boundingRect(mask)
    if height > _LONG * width:
        return "tall"
    if width > _LONG * height:
        return "wide"
    _, radius = cv2.minEnclosingCircle(cv2.findNonZero(mask))
    if area > _ROUND * np.pi * radius**2:
        return "round"
    return "square" if area > _FULL * width * height else ""
