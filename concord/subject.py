"""The subject of a photograph: what IS-Net sees of it, and the mask that its answer stands for.

As published: the picture is squashed to a square, and of the answer, enlarged to the picture's size, the least value
becomes 0 and the largest 1.
"""

import cv2
import numpy as np

from concord.arrays import Floats, Pixels
from concord.guided import carried, size_within
from concord.masks import binary

SIDE = 1024
"""Pixels of the square's side."""


def subject_mask(probabilities: Floats, pixels: Pixels) -> tuple[Pixels, float]:
    """The mask of a picture uint8 [H, W, 3 or 4], uint8 [H, W] of 0 and 255, and its score 0..1.

    Up to the square's size the answer is enlarged as published; in a larger picture its edge follows the picture's own.
    The score is how sure the network is on average, of all pixels: 1 where none is in doubt. It is 0, and the mask
    empty, where the network tells no pixel from another.

    Args:
        probabilities: fp32 [SIDE, SIDE] of 0..1.
    """
    height, width = pixels.shape[:2]
    size = size_within((height, width), SIDE)
    enlarged = np.asarray(cv2.resize(probabilities, size[::-1], interpolation=cv2.INTER_LINEAR), np.float32)
    least, most = float(enlarged.min()), float(enlarged.max())
    if most - least < 1e-6:
        return np.zeros((height, width), np.uint8), 0.0
    shares = (enlarged - least) / (most - least)
    mask = binary(carried((shares >= 0.5).astype(np.float32), pixels))
    return mask, float(np.abs(2 * shares - 1).mean())
