"""The part of a picture that is repainted as a square, and the square put back at the picture's own resolution.

`concord.transfer` carries a change of light and colour to a photograph's own detail; here the detail is the square's:
brush strokes are the answer, not an error of the network.
"""

from dataclasses import dataclass
from typing import Self

import cv2
import numpy as np

from concord.arrays import Floats, Pixels
from concord.bands import side_by_side
from concord.composition import added
from concord.errors import ConcordError
from concord.transfer import alpha

_BAND = 64  # rows
_CONTEXT = 2  # sides of the part in a side of the frame: three quarters of it tell how the rest is painted
_FEATHER = 1.0  # of the square's pixels, inside the mask's edge


@dataclass(frozen=True)
class Frame:
    """Rows and columns of a picture."""

    rows: slice
    columns: slice

    @classmethod
    def whole(cls, height: int, width: int) -> Self:
        """All of a picture."""
        return cls(slice(0, height), slice(0, width))

    @classmethod
    def around(cls, mask: Pixels, side: int) -> Self:
        """The surroundings of a part, as near to a square as the picture allows.

        Args:
            mask: uint8 [H, W], not 0 in the part, which is not empty.
            side: pixels that it has at least, each way, where the picture has them: smaller ones would be enlarged.
        """
        x, y, width, height = cv2.boundingRect(mask)
        length = max(side, _CONTEXT * max(width, height))
        return cls(_around(y, height, length, mask.shape[0]), _around(x, width, length, mask.shape[1]))

    @property
    def size(self) -> tuple[int, int]:
        """Height and width."""
        return self.rows.stop - self.rows.start, self.columns.stop - self.columns.start

    def of(self, pixels: Pixels) -> Pixels:
        """That part of an array [H, W, ...]."""
        return pixels[self.rows, self.columns]


def _around(first: int, length: int, wanted: int, limit: int) -> slice:
    """So many pixels of a line around some of them, moved into the line and cut to it."""
    wanted = min(wanted, limit)
    start = min(max(first + length // 2 - wanted // 2, 0), limit - wanted)
    return slice(start, start + wanted)


def painted(
    pixels: Pixels, mask: Pixels, frame: Frame, result: Floats, *, opacity: Pixels | None = None, strength: float = 1.0
) -> Pixels:
    """The picture with a result in a frame of it, inside the mask.

    Args:
        pixels: uint8 [H, W, 3 or 4] RGB(A); alpha is returned as it came.
        mask: uint8 [H, W] of 0 and 255; 0 outside the frame.
        result: fp32 [3, S, S] in about 0..1, of the frame squashed to a square.
        opacity: uint8 [H, W] of a soft edge, in the place of the mask.
        strength: factor of the change.

    Returns:
        uint8 like ``pixels``, equal to it bit for bit outside the mask, or where the opacity is 0.

    Raises:
        ConcordError: the result is not finite.
    """
    after = pixels.copy()
    shown = mask if opacity is None else opacity
    x, y, width, height = cv2.boundingRect(shown)
    if not width:
        return after
    if not np.isfinite(result).all():
        raise ConcordError("SMALL_RESULT", "the network's result is not finite")
    square = np.ascontiguousarray(np.moveaxis(np.clip(result, 0, 1), 0, 2), np.float32)
    columns = slice(x, x + width)
    ramp = max(1.0, _FEATHER * max(frame.size) / len(square))

    def paint(band: slice) -> None:
        rows = slice(y + band.start, y + band.stop)
        share = alpha(mask, rows, columns, ramp) if opacity is None else _opaque(opacity[rows, columns])
        before = after[rows, columns, :3]
        change = 255 * _enlarged(square, frame, rows, columns) - before
        share *= np.float32(strength)
        after[rows, columns, :3] = added(before.astype(np.float32), change, share[..., np.newaxis])

    # A frame smaller than the square is averaged at once: it has few pixels.
    if max(frame.size) < len(square):
        square = np.asarray(cv2.resize(square, frame.size[::-1], interpolation=cv2.INTER_AREA), np.float32)
    side_by_side(paint, 0, height, _BAND)
    return after


def _opaque(opacity: Pixels) -> Floats:
    return opacity.astype(np.float32) / 255


def _enlarged(square: Floats, frame: Frame, rows: slice, columns: slice) -> Floats:
    """Some rows and columns of the picture, of a square in a frame of it: cubic, pixel centres aligned."""
    down, across = (inner / outer for inner, outer in zip(square.shape[:2], frame.size, strict=True))
    top, left = rows.start - frame.rows.start, columns.start - frame.columns.start
    place = np.array([[across, 0, across * (left + 0.5) - 0.5], [0, down, down * (top + 0.5) - 0.5]])
    size = (columns.stop - columns.start, rows.stop - rows.start)
    flags = cv2.INTER_CUBIC | cv2.WARP_INVERSE_MAP
    return np.asarray(cv2.warpAffine(square, place, size, flags=flags, borderMode=cv2.BORDER_REPLICATE), np.float32)
