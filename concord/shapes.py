"""Masks of a shape, and an edge that is as uneven as one that a person draws.

Masks are uint8 [H, W] of 0 and 255. Numbers are in pixels of the picture, whose corner is 0, 0 and whose first pixel's
centre is 0.5, 0.5; what lies outside the picture is cut off.
"""

from collections.abc import Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

from concord.arrays import Floats, Pixels
from concord.masks import depths

Point = tuple[float, float]
Box = Sequence[float]
"""Left, top, right and bottom."""

ROUGHNESS, MOST_ROUGHNESS = 0.1, 0.3
_FRACTION = 4  # bits below a pixel of OpenCV's coordinates
_OCTAVES = 4
_LINE = 8  # OpenCV's lines, with eight neighbours


def rectangle(box: Box, height: int, width: int) -> Pixels:
    """The pixels whose centres are inside the box."""
    left, top, right, bottom = box
    columns, rows = np.arange(width) + 0.5, np.arange(height) + 0.5
    inside = ((rows > top) & (rows < bottom))[:, None] & ((columns > left) & (columns < right))
    return np.where(inside, 255, 0).astype(np.uint8)


def ellipse(box: Box, height: int, width: int) -> Pixels:
    """The pixels whose centres are inside the ellipse that touches the box's sides."""
    left, top, right, bottom = box
    x = (np.arange(width) + 0.5 - (left + right) / 2) / max((right - left) / 2, 1e-6)
    y = (np.arange(height) + 0.5 - (top + bottom) / 2) / max((bottom - top) / 2, 1e-6)
    return np.where(y[:, None] ** 2 + x**2 < 1, 255, 0).astype(np.uint8)


def polygon(points: Sequence[Point], height: int, width: int) -> Pixels:
    """The inside of a closed line through the points, its border included; where it crosses itself, what is odd."""
    return np.asarray(cv2.fillPoly(_black(height, width), [_fixed(points)], [255], _LINE, _FRACTION), np.uint8)


def stroke(points: Sequence[Point], thickness: float, height: int, width: int) -> Pixels:
    """A line through the points with round ends, `thickness` pixels wide."""
    mask, wide = _black(height, width), max(round(thickness), 1)
    if len(points) == 1:
        (x, y), half = points[0], wide / 2
        return ellipse((x - half, y - half, x + half, y + half), height, width)
    return np.asarray(cv2.polylines(mask, [_fixed(points)], False, [255], wide, _LINE, _FRACTION), np.uint8)


def irregular(mask: Pixels, seed: int, roughness: float = ROUGHNESS) -> Pixels:
    """The mask with an edge that wanders in and out: editing networks show the edge of a too regular mask.

    The edge is moved along the distance to it by smooth noise of several wavelengths (fractal noise, each octave of
    half the wavelength and half the height), the longest as long as the part is thick. The same seed gives the same
    mask.

    Args:
        mask: uint8 [H, W], of 0 and 255.
        seed: 0 or more.
        roughness: how far the edge moves at most, as a share of the part's thickness (twice the distance from its
            innermost place to its edge); 0 to `MOST_ROUGHNESS`.

    Returns:
        uint8 like ``mask``; not empty, where the mask is not.
    """
    if not mask.any() or not roughness:
        return mask.copy()
    inside, outside = depths(np.asarray(mask > 0, np.uint8))
    signed = np.where(mask > 0, inside - 0.5, 0.5 - outside)
    # A mask of the whole picture has no edge.
    thickness = min(2 * float(signed.max()), float(max(mask.shape)))
    moved = signed + roughness * thickness * _noise(np.random.default_rng(seed), mask.shape, thickness)
    # The innermost place always stays.
    return np.where((moved > 0) | (signed >= signed.max()), 255, 0).astype(np.uint8)


def _noise(rng: np.random.Generator, shape: tuple[int, ...], wavelength: float) -> Floats:
    """Fractal noise, fp32 of this shape, from -1 to 1."""
    height, width = shape
    total = np.zeros((height, width), np.float32)
    for octave in range(_OCTAVES):
        # Two cells a wavelength; cubic interpolation needs one around.
        cell = max(wavelength / 2 ** (octave + 1), 2.0)
        rows, columns = (int(np.ceil(length / cell)) + 1 for length in (height, width))
        grid = rng.uniform(-1, 1, (rows, columns)).astype(np.float32)
        total += 0.5**octave * np.asarray(cv2.resize(grid, (width, height), interpolation=cv2.INTER_CUBIC), np.float32)
    return np.clip(total, -1, 1)


def _black(height: int, width: int) -> Pixels:
    return np.zeros((height, width), np.uint8)


def _fixed(points: Sequence[Point]) -> NDArray[np.int32]:
    """Points as OpenCV counts them: the first pixel's centre is 0, 0, with binary fractions."""
    return np.rint([[(x - 0.5) * 2**_FRACTION, (y - 0.5) * 2**_FRACTION] for x, y in points]).astype(np.int32)
