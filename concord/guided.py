"""Carries a small mask to a picture's full resolution, with the picture as guide, so that its edge follows the object.

The mask is fitted to the colours around each small pixel by a linear function (guided filter, He, Sun and Tang 2010),
whose coefficients are enlarged and applied to the picture's own pixels (fast guided filter, He and Sun 2015).
"""

import cv2
import numpy as np
from numpy.typing import NDArray

from concord.arrays import Floats, Pixels
from concord.bands import side_by_side

RADIUS = 2  # of the windows of the fit, in small pixels
_WINDOW = (2 * RADIUS + 1, 2 * RADIUS + 1)
_REACH = 2 * RADIUS + 1  # how far from an edge of the small mask the fit is not flat, and what is enlarged sees it
_EPSILON = 3e-4  # pull of the slope towards 0, in squared units of 0..1
_TILE = 256


def carried(small: Pixels, pixels: Pixels) -> Pixels:
    """The mask of a picture from that of a smaller copy.

    Only where the small mask has an edge is anything computed, a tile at a time, so that what it takes of memory does
    not grow with the picture.

    Args:
        small: uint8 [h, w], foreground where not 0.
        pixels: uint8 [H, W, 3 or 4] RGB(A); alpha is not looked at.

    Returns:
        uint8 [H, W] of 0 and 255; the small mask itself where it has the picture's size.
    """
    height, width = pixels.shape[:2]
    full = np.where(small > 0, np.uint8(255), np.uint8(0))
    if small.shape == (height, width):
        return full
    window = np.ones((2 * _REACH + 1,) * 2, np.uint8)
    least, most = cv2.erode(full, window), cv2.dilate(full, window)
    fit = _fit(small, pixels, cv2.dilate(most - least, np.ones((3, 3), np.uint8)) > 0)
    columns = _positions(width, small.shape[1])
    rows = _positions(height, small.shape[0])
    mask = np.zeros((height, width), np.uint8)

    def carry(band: slice) -> None:
        y = rows[band]
        near = slice(int(max(y[0], 0)), int(y[-1]) + 2)
        for left in range(0, width, _TILE):
            x = columns[left : left + _TILE]
            cells = near, slice(int(max(x[0], 0)), int(x[-1]) + 2)
            tile = mask[band, left : left + _TILE]
            if not most[cells].any():
                continue
            if least[cells].all():
                tile[:] = 255
                continue
            map_x = np.ascontiguousarray(np.broadcast_to(x, tile.shape))
            map_y = np.ascontiguousarray(np.broadcast_to(y[:, None], tile.shape))
            slopes = cv2.remap(fit, map_x, map_y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
            colours = pixels[band, left : left + _TILE, :3].astype(np.float32)
            value = np.einsum("ijk,ijk->ij", slopes[..., :3], colours) + slopes[..., 3]
            tile[value >= 0.5] = 255

    side_by_side(carry, 0, height, _TILE)
    return mask


def _positions(size: int, small: int) -> Floats:
    """The pixels of one side in the small picture's coordinates, pixel centres aligned."""
    return ((np.arange(size) + 0.5) * (small / size) - 0.5).astype(np.float32)


def _fit(small: Pixels, pixels: Pixels, near: NDArray[np.bool_]) -> Floats:
    """Of each small pixel, three slopes and the offset of the mask as a function of colours 0..255, fp32 [h, w, 4].

    Only those are right that are near.
    """
    size = small.shape[::-1]
    guide = cv2.resize(np.ascontiguousarray(pixels[..., :3]), size, interpolation=cv2.INTER_AREA)
    colours = guide.astype(np.float32) / 255
    target = (small > 0).astype(np.float32)
    mean, mean_target = _blurred(colours), _blurred(target)
    products = _blurred(colours[..., :, None] * colours[..., None, :]) - mean[..., :, None] * mean[..., None, :]
    shared = _blurred(colours * target[..., None]) - mean * mean_target[..., None]
    products += np.eye(3, dtype=np.float32) * _EPSILON
    slope = np.zeros_like(mean)
    slope[near] = np.linalg.solve(products[near], shared[near][..., None])[..., 0]
    offset = mean_target - np.einsum("ijk,ijk->ij", slope, mean)
    return _blurred(np.dstack([slope / 255, offset]).astype(np.float32))


def _blurred(values: Floats) -> Floats:
    """The mean over the window of each pixel, of an array [h, w, ...]."""
    flat = np.ascontiguousarray(values.reshape(*values.shape[:2], -1))
    planes = [cv2.blur(flat[..., plane], _WINDOW, borderType=cv2.BORDER_REFLECT) for plane in range(flat.shape[2])]
    return np.stack(planes, axis=2).reshape(values.shape)
