"""How a change is put onto a photograph: as much of it as is asked for, clipped and rounded once."""

import numpy as np

from concord.arrays import Floats, Pixels
from concord.bands import side_by_side

_BAND = 64  # rows


def compose(pixels: Pixels, changed: Pixels, strength: float = 1.0) -> Pixels:
    """``pixels + strength * (changed - pixels)``, rounded to the nearest level, halves up, and clipped.

    So 0 gives the photograph, 1 the changed one, both bit for bit, and more than 1 more of the change.

    Args:
        pixels: uint8 [H, W, C], the photograph.
        changed: uint8 of its shape.
        strength: from 0.

    Returns:
        uint8 of their shape; a new array but for a strength of 1.
    """
    if strength == 1:
        return changed
    composed = pixels.copy()

    def band(rows: slice) -> None:
        before = pixels[rows].astype(np.float32)
        composed[rows] = added(before, changed[rows] - before, np.float32(strength))

    side_by_side(band, 0, len(pixels), _BAND)
    return composed


def added(pixels: Floats, change: Floats, share: Floats | np.float32) -> Pixels:
    """``pixels + share * change`` as uint8, where ``pixels`` are whole numbers in 0..255: the same where one is 0.

    Args:
        pixels, change: fp32 of one shape; ``change`` is written over.
        share: of the change, a number or an array of their shape.
    """
    change *= share
    change += pixels
    change += 0.5
    return np.asarray(np.clip(change, 0, 255, out=change), np.uint8)
