"""Applies a colour map, which a network predicted at small size, to the image at full size.

The map has an affine transform of the colours for every small pixel. It is enlarged, not the picture, so that all
detail is the original's (Guerreiro et al., "PCT-Net", CVPR 2023).
"""

import cv2
import numpy as np
from numpy.typing import NDArray

from concord.arrays import Floats, Pixels
from concord.errors import ConcordError

_ROWS, _COLUMNS = 32, 256  # of a tile: what it takes stays in the cache
_SHARPNESS = -0.75  # of the bicubic kernel: torch's, which the published network enlarges with; most others have -0.5


def apply_colour_map(
    pixels: Pixels, mask: Pixels, colour_map: Floats, *, strength: float = 1.0, in_place: bool = False
) -> Pixels:
    """The image with its foreground's colours mapped: ``x + share * (clip(matrix @ x + offset, 0, 1) - x)``.

    Args:
        pixels: uint8 [H, W, 3 or 4] RGB(A); alpha is returned as it came.
        mask: uint8 [H, W] of 0 and 255.
        colour_map: fp32 [13, h, w] for colours of 0..1: a 3x3 matrix row by row, an offset, and the share of the mapped
            colour that is taken. It is enlarged bicubically to [H, W], pixel centres aligned.
        strength: factor of the change, before it is rounded and clipped.
        in_place: whether ``pixels`` are changed and returned, and not a copy of them.

    Returns:
        uint8 like ``pixels``, equal to it bit for bit outside the mask.

    Raises:
        ConcordError: the map is not finite.
    """
    mapped = pixels if in_place else pixels.copy()
    x, y, width, height = cv2.boundingRect(mask)
    if width == 0:
        return mapped
    if not np.isfinite(colour_map).all():
        raise ConcordError("COLOUR_MAP", "the network's result is not finite")
    for left in range(x, x + width, _COLUMNS):
        columns = slice(left, min(left + _COLUMNS, x + width))
        weights, taken = _bicubic(colour_map.shape[2], mask.shape[1], columns)
        widened = colour_map[:, :, taken] @ weights.T
        for top in range(y, y + height, _ROWS):
            rows = slice(top, min(top + _ROWS, y + height))
            inside = mask[rows, columns] > 0
            if inside.any():
                weights, taken = _bicubic(colour_map.shape[1], mask.shape[0], rows)
                enlarged = weights @ widened[:, taken]
                enlarged[12] *= inside * np.float32(strength)
                tile = mapped[rows, columns, :3]
                tile[:] = _mapped(tile, enlarged)
    return mapped


def _mapped(tile: Pixels, colour_map: Floats) -> Pixels:
    """Pixels [h, w, 3] by a colour map of their size."""
    before = np.ascontiguousarray(np.moveaxis(tile, 2, 0), np.float32) / np.float32(255)
    change = np.einsum("ijhw,jhw->ihw", colour_map[:9].reshape(3, 3, *before.shape[1:]), before)
    change += colour_map[9:12]
    np.clip(change, 0, 1, out=change)
    change -= before
    change *= colour_map[12]
    change += before
    change *= 255
    change += 0.5
    return np.asarray(np.moveaxis(np.clip(change, 0, 255, out=change), 0, 2), np.uint8)


def _bicubic(size: int, full_size: int, part: slice) -> tuple[Floats, slice]:
    """Enlarging ``size`` values to ``full_size``, for a part of these: a matrix, and the values that it reads."""
    position = (np.arange(part.start, part.stop) + 0.5) * size / full_size - 0.5
    first = np.floor(position).astype(int) - 1
    taps = first[:, None] + np.arange(4)
    read = np.clip(taps, 0, size - 1)
    taken = slice(int(read.min()), int(read.max()) + 1)
    matrix = np.zeros((len(position), taken.stop - taken.start), np.float32)
    # At the image's border several taps read the same value.
    np.add.at(matrix, (np.arange(len(position))[:, None], read - taken.start), _kernel(taps - position[:, None]))
    return matrix, taken


def _kernel(distance: NDArray[np.float64]) -> Floats:
    """Keys' cubic convolution kernel at distances of -2..2."""
    d, a = np.abs(distance), _SHARPNESS
    near = ((a + 2) * d - (a + 3)) * d * d + 1
    far = a * (((d - 5) * d + 8) * d - 4)
    return np.asarray(np.where(d <= 1, near, far), np.float32)
