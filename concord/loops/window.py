"""The part of a latent around a mask: what is decoded where only the mask's surroundings are looked at."""

from dataclasses import dataclass
from typing import Self

import cv2
import numpy as np

from concord.arrays import Floats, Pixels
from concord.squash import LATENT_STRIDE

_MARGIN = 4  # latent pixels, each way: what a decoder's first layers see of an edge stays outside of the mask
_STEP = 4  # its sides are multiples, and so are sides that networks take
_MOST = 0.7  # of the latent's area: a larger window saves less than its own shape costs the engine


@dataclass(frozen=True)
class Window:
    """Rows and columns of a latent [C, h, w]."""

    rows: slice
    columns: slice

    @classmethod
    def around(cls, small_mask: Pixels) -> Self:
        """The window around a mask, uint8 [S, S] of 0 and 1 and not empty; all of the latent where it is most of it."""
        side = len(small_mask) // LATENT_STRIDE
        x, y, width, height = cv2.boundingRect(small_mask)
        found = cls(_grown(y, height, side), _grown(x, width, side))
        rows, columns = (each.stop - each.start for each in (found.rows, found.columns))
        return found if rows * columns <= _MOST * side * side else cls(slice(0, side), slice(0, side))

    def of(self, latent: Floats) -> Floats:
        """That part of a latent fp32 [C, h, w]."""
        return np.ascontiguousarray(latent[:, self.rows, self.columns])

    def placed(self, result: Floats, side: int) -> Floats:
        """What was decoded of the window, fp32 [3, 8r, 8c], on a square [3, side, side] that is NaN elsewhere."""
        square = np.full((len(result), side, side), np.nan, np.float32)
        rows, columns = (
            slice(each.start * LATENT_STRIDE, each.stop * LATENT_STRIDE) for each in (self.rows, self.columns)
        )
        square[:, rows, columns] = result
        return square


def _grown(first: int, length: int, side: int) -> slice:
    """The latent pixels of a range of pixels, with margin, on multiples of the step."""
    start = max(first // LATENT_STRIDE - _MARGIN, 0) // _STEP * _STEP
    stop = min(-(-(first + length) // LATENT_STRIDE) + _MARGIN, side)
    return slice(start, min(-(-stop // _STEP) * _STEP, side))
