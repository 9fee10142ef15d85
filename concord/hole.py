"""A hole in a picture: the window of its surroundings that a network sees, and how the answer comes into the hole."""

from dataclasses import dataclass
from typing import Self

import cv2
import numpy as np
from numpy.typing import NDArray

from concord.arrays import Floats, Pixels
from concord.errors import InvalidMask
from concord.guided import resized
from concord.masks import depths
from concord.membrane import membrane

_LEAST = 256  # pixels of a side of the window, where the picture has as many: what the networks were trained on
_STEP = 64  # its sides are multiples, so that an engine sees few shapes and batches are shared
_BLENDED = 8.0  # pixels that the network sees: how far into the hole its colours follow those around it


def check_hole(mask: Pixels) -> None:
    """Refuses a mask, uint8 [H, W] of 0 and 255, that leaves nothing to fill the hole from.

    Raises:
        InvalidMask: it covers everything.
    """
    if mask.all():
        raise InvalidMask("MASK", "covers the whole picture", "a mask that leaves some of the picture black")


@dataclass(frozen=True)
class HoleWindow:
    """Rows and columns of a picture, and the height and width at which a network sees them.

    Attributes:
        padded: the same with padding, below and to the right: multiples of what the network needs.
    """

    rows: slice
    columns: slice
    size: tuple[int, int]
    padded: tuple[int, int]

    @classmethod
    def around(cls, mask: Pixels, most: int, multiple: int, least: int = 0) -> Self:
        """The window around a mask, uint8 [H, W] of 0 and 255, which is not empty.

        A compact hole has half of it in each direction. It is seen at the picture's own size, or smaller where it has
        more than ``most`` x ``most`` pixels.

        Args:
            most: a multiple of ``multiple``.
            multiple: of which both sides are that a network can take.
            least: the side of a square, for a network that draws nothing well at smaller sizes: the window has as many
                pixels or, where the picture has not, is enlarged to them, if that is not more than ``most``.
        """
        x, y, width, height = cv2.boundingRect(mask)
        margin = (width * height) ** 0.5 / 2
        shortest = max(_LEAST, least)
        rows = _placed(y, height, margin, mask.shape[0], shortest)
        columns = _placed(x, width, margin, mask.shape[1], shortest)
        sides = rows.stop - rows.start, columns.stop - columns.start
        side = (sides[0] * sides[1]) ** 0.5
        seen = min(max(side, least), most)
        if seen != side or least == most:  # where there is one size, it is a square
            size = padded = _multiples(sides, seen / side, multiple, most * most)
        else:
            size = sides
            padded = -(-sides[0] // multiple) * multiple, -(-sides[1] // multiple) * multiple
        return cls(rows, columns, size, padded)

    @property
    def _is_enlarged(self) -> bool:
        own = (self.rows.stop - self.rows.start) * (self.columns.stop - self.columns.start)
        return bool(self.size[0] * self.size[1] > own)

    def seen(self, pixels: Pixels, mask: Pixels) -> tuple[Pixels, Pixels]:
        """What a network is given: colours uint8 [h, w, 3], and the hole uint8 [h, w] of 0 and 1, with padding.

        A pixel of which some lies in the hole is in it, so that nothing of what was there is seen. The padding mirrors
        the picture.

        Args:
            pixels: uint8 [H, W, 3 or 4] RGB(A); alpha is not looked at.
            mask: uint8 [H, W] of 0 and 255.
        """
        colours = np.ascontiguousarray(pixels[self.rows, self.columns, :3])
        if self._is_enlarged:
            colours = np.asarray(cv2.resize(colours, self.size[::-1], interpolation=cv2.INTER_CUBIC), np.uint8)
        colours = resized(colours, self.size)
        share = (mask[self.rows, self.columns] > 0).astype(np.float32)
        hole = (
            share if share.shape == self.size else cv2.resize(share, self.size[::-1], interpolation=cv2.INTER_AREA)
        ) > 0
        more = [(0, padded - size) for padded, size in zip(self.padded, self.size, strict=True)]
        return np.pad(colours, [*more, (0, 0)], "symmetric"), np.pad(hole.astype(np.uint8), more, "symmetric")

    def filled(self, pixels: Pixels, mask: Pixels, drawn: Floats, *, blend: bool = True, deep: bool = False) -> Pixels:
        """A picture with what a network drew in its hole.

        Args:
            pixels, mask: as in `seen`.
            drawn: fp32 [3, h, w], with padding, nominally 0..1; not in the hole alone.
            blend: near the hole's edge, add the difference between the picture and what was drawn around it.
            deep: add it everywhere in the hole, as a `membrane`.

        Returns:
            uint8 like ``pixels``, equal to it bit for bit outside the mask; alpha stays as it was.
        """
        answer = pixels.copy()
        part, hole = answer[self.rows, self.columns], mask[self.rows, self.columns] > 0
        height, width = self.size
        colours = np.ascontiguousarray(np.moveaxis(drawn[:, :height, :width] * np.float32(255), 0, 2))
        if colours.shape[:2] != hole.shape:
            how = cv2.INTER_AREA if self._is_enlarged else cv2.INTER_CUBIC
            colours = np.asarray(cv2.resize(colours, hole.shape[::-1], interpolation=how), np.float32)
        if blend and deep:
            colours += membrane(np.asarray(part[..., :3] - colours, np.float32), hole)
        elif blend:
            colours += _difference(part[..., :3], colours, hole, _BLENDED * (hole.size / (height * width)) ** 0.5)
        part[..., :3][hole] = np.clip(colours[hole] + 0.5, 0, 255).astype(np.uint8)
        return answer


def _placed(first: int, length: int, margin: float, whole: int, least: int) -> slice:
    """The part of one side of the picture: the hole in its middle where there is room."""
    side = max(least, -(-int(np.ceil(length + 2 * margin)) // _STEP) * _STEP)
    if side >= whole:
        return slice(0, whole)
    start = min(max(first + length // 2 - side // 2, 0), whole - side)
    return slice(start, start + side)


def _multiples(sides: tuple[int, int], scale: float, multiple: int, most: int) -> tuple[int, int]:
    """Sides that are nearest to the scaled ones, and together have no more pixels than allowed."""
    size = [max(multiple, round(side * scale / multiple) * multiple) for side in sides]
    longer = int(size[1] > size[0])
    if size[0] * size[1] > most:
        size[longer] = max(multiple, most // size[1 - longer] // multiple * multiple)
    return size[0], size[1]


def _difference(part: Pixels, colours: Floats, hole: NDArray[np.bool_], reach: float) -> Floats:
    """Of the picture to what was drawn: the mean over the known pixels near by, less the deeper in the hole.

    Args:
        part: uint8 [h, w, 3].
        colours: fp32 [h, w, 3], 0..255.
        hole: bool [h, w].
        reach: the depth, in pixels, from which on it is 0.
    """
    known = (~hole).astype(np.float32)
    difference = (part - colours) * known[..., np.newaxis]
    mean, weight = (cv2.GaussianBlur(each, (0, 0), reach / 2) for each in (difference, known))
    share = np.clip(1 - depths(hole.astype(np.uint8))[0] / np.float32(reach), 0, 1)
    return np.asarray(mean * (share / np.maximum(weight, np.float32(1e-6)))[..., np.newaxis], np.float32)
