"""A membrane: what is known around a hole, spanned smoothly over it, as Poisson image editing does (Perez et al. 2003).

It solves Laplace's equation over the hole nearly: from the smallest size of the picture to its own, each size begins
with the one before and is smoothed.
"""

import cv2
import numpy as np
from numpy.typing import NDArray

from concord.arrays import Floats

_SMOOTHED = (4, 32)  # times at the picture's own size, twice as often at each half of it, and the most
_NEIGHBOURS = np.array([[0, 0.25, 0], [0.25, 0, 0.25], [0, 0.25, 0]], np.float32)


def membrane(values: Floats, hole: NDArray[np.bool_]) -> Floats:
    """Values fp32 [h, w, C], which are what they were outside of a hole [h, w] that leaves some of them."""
    known = (~hole).astype(np.float32)
    return _spanned(values * known[..., np.newaxis], known, _SMOOTHED[0])


def _spanned(values: Floats, known: Floats, times: int) -> Floats:
    """Values that were multiplied by the share of each pixel that is known, with the pixels of which nothing is."""
    mean: Floats = values / np.maximum(known, np.float32(1e-6))[..., np.newaxis]
    unknown = (known <= 0)[..., np.newaxis]
    if not unknown.any():
        return mean
    height, width = known.shape
    half = (-(-width // 2), -(-height // 2))
    wide = _spanned(_resized(values, half), _resized(known, half), min(2 * times, _SMOOTHED[1]))
    filled = np.where(unknown, _resized(wide, (width, height)), mean)
    for _ in range(times):
        np.copyto(filled, cv2.filter2D(filled, -1, _NEIGHBOURS, borderType=cv2.BORDER_REPLICATE), where=unknown)
    return filled


def _resized(values: Floats, size: tuple[int, int]) -> Floats:
    """Half as large or twice, of that width and height."""
    how = cv2.INTER_AREA if size[0] < values.shape[1] or size[1] < values.shape[0] else cv2.INTER_LINEAR
    return np.asarray(cv2.resize(values, size, interpolation=how), np.float32)
