"""The random views that a picture is judged in: turned and shifted, then tilted, as the authors' kornia does it.

Avrahami et al. (CVPR 2022) have a picture compared with a text in eight views: as it is, and in seven that
`RandomAffine(15, 0.1)` and `RandomPerspective(0.7)` make of it, each with a probability of 0.7. A single number for the
shift is read there as 0 across and 0.1 down.
"""

import numpy as np
from numpy.typing import NDArray

from concord.arrays import Floats
from concord.clip_view import VIEW_SIZE

WARPED = 7
"""Views besides the plain one."""
DRAWS = (WARPED, 12)
"""The shape of the numbers that decide them."""

_PROBABILITY = 0.7
_DEGREES = 15.0
_SHIFT = 0.1  # of the side
_DISTORTION = 0.7  # of half of the side, how far a corner comes in
_CORNERS = np.array([[0, 0], [1, 0], [1, 1], [0, 1]], np.float64)
Matrix = NDArray[np.float64]


def warps(draws: NDArray[np.float64], side: int = VIEW_SIZE) -> Floats:
    """Two matrices a view, fp32 [7, 2, 3, 3], from pixels (x, y, 1) of its own to those of what it is made of.

    The first turns and shifts the picture, whose border goes on outside; the second tilts the answer, and what comes
    from outside is 0.

    Args:
        draws: [7, 12] of 0..1: whether it is turned, angle and shift; whether it is tilted, and its four corners.
        side: pixels of a view, each way.
    """
    return np.array([[_turned(row[:3], side), _tilted(row[3:], side)] for row in draws], np.float32)


def _turned(draws: NDArray[np.float64], side: int) -> Matrix:
    chance, angle, shift = draws
    if chance >= _PROBABILITY:
        return np.eye(3)
    radians = np.deg2rad(_DEGREES * (2 * angle - 1))
    cosine, sine = np.cos(radians), np.sin(radians)
    centre = (side - 1) / 2
    turn = np.array([[cosine, -sine, 0], [sine, cosine, 0], [0, 0, 1]])
    forward = _moved(centre, centre + _SHIFT * side * (2 * shift - 1)) @ turn @ _moved(-centre, -centre)
    # Coordinates in -1..1 reach the outermost pixels' centres in the matrix, and their outer edges in the sampling.
    return _outer(side) @ np.linalg.inv(forward) @ np.linalg.inv(_outer(side))


def _tilted(draws: NDArray[np.float64], side: int) -> Matrix:
    chance, corners = draws[0], draws[1:].reshape(4, 2)
    if chance >= _PROBABILITY:
        return np.eye(3)
    start = _CORNERS * (side - 1)
    end = start + _DISTORTION * side / 2 * corners * (1 - 2 * _CORNERS)
    return _outer(side) @ _homography(end, start)


def _moved(right: float, down: float) -> Matrix:
    return np.array([[1, 0, right], [0, 1, down], [0, 0, 1]], np.float64)


def _outer(side: int) -> Matrix:
    """From pixels between the outermost centres to those between the outermost edges, by the same share of the way."""
    factor = side / (side - 1)
    return np.array([[factor, 0, -0.5], [0, factor, -0.5], [0, 0, 1]])


def _homography(source: Matrix, target: Matrix) -> Matrix:
    """The matrix that takes four points [4, 2] to four others."""
    rows = []
    for (x, y), (u, v) in zip(source, target, strict=True):
        rows += [[x, y, 1, 0, 0, 0, -u * x, -u * y], [0, 0, 0, x, y, 1, -v * x, -v * y]]
    return np.append(np.linalg.solve(np.array(rows), target.flatten()), 1).reshape(3, 3)
