"""What a person points at in a picture: clicks on what belongs to an object and on what does not, and a box."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

from concord.errors import InvalidPoints

MOST_POINTS = 64
_TRIPLES = "triples of x, y and 1 for what belongs or 0 for what does not"
_CORNERS = "x0, y0, x1, y1: its left, top, right and bottom in pixels"


@dataclass(frozen=True)
class Clicks:
    """Points and a box in pixels of the upright picture, whose corner is 0, 0 and whose first pixel's centre 0.5, 0.5.

    Attributes:
        belonging: points (x, y) on the object.
        others: points on what is not to be selected.
        box: left, top, right and bottom of a box that holds the object; None without one.
    """

    belonging: tuple[tuple[float, float], ...] = ()
    others: tuple[tuple[float, float], ...] = ()
    box: tuple[float, float, float, float] | None = None

    @classmethod
    def read(cls, points: Sequence[float], box: Sequence[float], height: int, width: int) -> Self:
        """Reads points, as x, y and label one after the other, and the four numbers of a box; either may be empty.

        Raises:
            InvalidPoints: both are empty, or one of them cannot be in a picture of this size; names it.
        """
        if not len(points) and not len(box):
            raise InvalidPoints("POINTS", "neither points nor a box are given", "POINTS or BOX, or both")
        read = _points(points, height, width)
        belonging = tuple((x, y) for x, y, label in read if label)
        if read and not belonging and not len(box):
            raise InvalidPoints("POINTS", "none of them belongs", "a point with label 1, or a box")
        others = tuple((x, y) for x, y, label in read if not label)
        return cls(belonging, others, _box(box, height, width) if len(box) else None)


def _points(numbers: Sequence[float], height: int, width: int) -> list[tuple[float, float, float]]:
    if len(numbers) % 3:
        raise InvalidPoints("POINTS", f"it has {len(numbers)} numbers", _TRIPLES)
    if len(numbers) > 3 * MOST_POINTS:
        raise InvalidPoints("POINTS", f"it has {len(numbers) // 3} points", f"at most {MOST_POINTS} points")
    _check_finite("POINTS", numbers, _TRIPLES)
    points = [(numbers[at], numbers[at + 1], numbers[at + 2]) for at in range(0, len(numbers), 3)]
    for x, y, label in points:
        if not (0 <= x <= width and 0 <= y <= height):
            raise InvalidPoints("POINTS", f"{x:g}, {y:g} is outside the picture", _inside(height, width))
        if label not in (0, 1):
            raise InvalidPoints("POINTS", f"the label of {x:g}, {y:g} is {label:g}", "1 or 0")
    return points


def _box(numbers: Sequence[float], height: int, width: int) -> tuple[float, float, float, float]:
    if len(numbers) != 4:
        raise InvalidPoints("BOX", f"it has {len(numbers)} numbers", _CORNERS)
    _check_finite("BOX", numbers, _CORNERS)
    left, top, right, bottom = numbers
    shown = ", ".join(f"{each:g}" for each in numbers)
    if not (
        min(left, right) >= 0 and max(left, right) <= width and min(top, bottom) >= 0 and max(top, bottom) <= height
    ):
        raise InvalidPoints("BOX", f"{shown} is not inside the picture", _inside(height, width))
    if not (left < right and top < bottom):
        raise InvalidPoints("BOX", f"{shown} has no area", f"{_CORNERS}, the first two less than the others")
    return left, top, right, bottom


def _check_finite(field: str, numbers: Sequence[float], allowed: str) -> None:
    for number in numbers:
        if not math.isfinite(number):
            raise InvalidPoints(field, f"a number is {number}", f"finite numbers: {allowed}")


def _inside(height: int, width: int) -> str:
    return f"x from 0 to {width} and y from 0 to {height}, in pixels of the upright picture"
