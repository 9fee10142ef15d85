"""Distances over a picture from a set of its pixels, along the paths on which colour changes least."""

import numpy as np
from numpy.typing import NDArray

from concord.arrays import Floats

_MOST_SWEEPS = 64


def geodesic_distance(colours: Floats, start: NDArray[np.bool_], step: float) -> Floats:
    """The length of the shortest path from each pixel to a set of pixels (Criminisi, Sharp and Blake, ECCV 2008).

    A path goes from a pixel to one of its four neighbours, which is as long as their colours differ, and `step` longer.
    The passes over rows and columns are exact along each; they go on until nothing gets nearer.

    Args:
        colours: fp32 [H, W, C].
        start: bool [H, W], not empty.
        step: in units of the colours.

    Returns:
        fp32 [H, W], 0 at the start.
    """
    distance = np.where(start, np.float32(0), np.float32(1e9))
    along = [_heights(colours, axis, step) for axis in (0, 1)]
    for sweep in range(_MOST_SWEEPS):
        before = distance
        distance = _swept(distance, along[sweep % 2], sweep % 2)
        if sweep and not (before - distance > step / 4).any():
            break
    return distance


def _heights(colours: Floats, axis: int, step: float) -> Floats:
    """By pixel the length of the path along its row or column that ends there."""
    costs = np.linalg.norm(np.diff(colours, axis=axis), axis=2) + np.float32(step)
    return np.insert(np.cumsum(costs, axis=axis), 0, 0, axis=axis).astype(np.float32)


def _swept(distance: Floats, heights: Floats, axis: int) -> Floats:
    """The least of the distances along one axis, from either side."""
    ahead = np.minimum.accumulate(distance - heights, axis=axis) + heights
    back = np.flip(np.minimum.accumulate(np.flip(distance + heights, axis), axis=axis), axis) - heights
    found: Floats = np.minimum(distance, np.minimum(ahead, back))
    return found
