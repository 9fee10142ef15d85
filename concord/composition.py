"""How a change is put onto a photograph: as much of it as is asked for, clipped and rounded once."""

import numpy as np

from concord.arrays import Floats, Pixels


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
