"""Carries a mask or matte that was made at small size to full size, so that its edge follows the picture's.

The fast guided filter (He & Sun 2015): in small windows the mask is taken as a linear function of the colours, and its
coefficients are enlarged, not the mask. So what full-size detail there is along the edge comes from the photograph.
"""

import cv2
import numpy as np

from concord.arrays import Floats, Pixels
from concord.bands import side_by_side

RADIUS = 2  # of the windows, in small pixels
EPSILON = 1e-3  # in squared units of 0..1: colours that differ by less than its root are one
_ROWS, _COLUMNS = 64, 256  # of a tile: what it takes stays in the cache


def carried(
    small: Floats,
    pixels: Pixels,
    *,
    guide: Pixels | None = None,
    radius: int = RADIUS,
    epsilon: float = EPSILON,
) -> Pixels:
    """A mask or matte at the size of a photograph.

    Args:
        small: fp32 [h, w], the part's share of every small pixel, 0..1. It covers what ``pixels`` do.
        pixels: uint8 [H, W, 3 or 4] RGB(A); alpha is ignored.
        guide: uint8 [h, w, 3], the photograph at the small size, where that is there already.
        radius: of the windows of the fit, in small pixels.
        epsilon: how much contrast an edge has to have, in squared units of 0..1.

    Returns:
        uint8 [H, W], the share in 0..255: as ``small`` has it where the two are of one size, and farther from any edge
        of it than three times the radius.
    """
    height, width = pixels.shape[:2]
    shares = np.asarray(np.rint(np.clip(small, 0, 1) * 255), np.uint8)
    if shares.shape == (height, width):
        return shares
    if guide is None:
        guide = resized(np.ascontiguousarray(pixels[..., :3]), small.shape)
    coefficients = _fit(guide.astype(np.float32) / 255, small, radius, epsilon)
    window = np.ones((4 * radius + 3, 4 * radius + 3), np.uint8)
    mixed = cv2.dilate(small, window) > cv2.erode(small, window)
    full = np.asarray(cv2.resize(shares, (width, height), interpolation=cv2.INTER_NEAREST), np.uint8)
    down, along = small.shape[0] / height, small.shape[1] / width

    def carry(rows: slice) -> None:
        near = mixed[int(rows.start * down) : int(np.ceil(rows.stop * down))].any(axis=0)
        for left in range(0, width, _COLUMNS):
            right = min(left + _COLUMNS, width)
            if near[int(left * along) : int(np.ceil(right * along))].any():
                _fill(full, pixels, coefficients, rows, slice(left, right))

    side_by_side(carry, 0, height, _ROWS)
    return full


def size_within(shape: tuple[int, ...], side: int) -> tuple[int, int]:
    """Height and width of a picture that is shrunk until neither is more than a side; its own if they are not."""
    scale = min(1.0, side / max(shape[:2]))
    return max(1, round(shape[0] * scale)), max(1, round(shape[1] * scale))


def resized(pixels: Pixels, size: tuple[int, ...]) -> Pixels:
    """Pixels [H, W, ...] at a smaller size (height, width): the mean of what each small pixel covers."""
    height, width = size[:2]
    if pixels.shape[:2] == (height, width):
        return pixels
    return np.asarray(cv2.resize(pixels, (width, height), interpolation=cv2.INTER_AREA), np.uint8)


def enlarged(values: Floats, full: tuple[int, ...], rows: slice, columns: slice) -> Floats:
    """A part of small values fp32 [h, w, C] enlarged bilinearly to ``full`` (height, width), pixel centres aligned."""
    down, along = values.shape[0] / full[0], values.shape[1] / full[1]
    place = np.array([[along, 0, (columns.start + 0.5) * along - 0.5], [0, down, (rows.start + 0.5) * down - 0.5]])
    size = (columns.stop - columns.start, rows.stop - rows.start)
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    return np.asarray(cv2.warpAffine(values, place, size, flags=flags, borderMode=cv2.BORDER_REPLICATE), np.float32)


def _fill(full: Pixels, pixels: Pixels, coefficients: Floats, rows: slice, columns: slice) -> None:
    """Computes one tile of the full picture."""
    function = enlarged(coefficients, full.shape, rows, columns)
    colours = pixels[rows, columns].astype(np.float32)
    share = function[..., 3]
    for channel in range(3):
        share = share + function[..., channel] * colours[..., channel]
    full[rows, columns] = np.clip(share + 0.5, 0, 255).astype(np.uint8)


def _fit(guide: Floats, share: Floats, radius: int, epsilon: float) -> Floats:
    """Coefficients fp32 [h, w, 4] of ``a . colour + b`` for colours and values of 0..255, from a guide of 0..1."""
    slopes, offset = linear_fit(guide, share, radius, epsilon)
    window = (2 * radius + 1, 2 * radius + 1)
    return np.asarray(cv2.blur(np.dstack((slopes, offset * 255)), window), np.float32)


def linear_fit(guide: Floats, share: Floats, radius: int, epsilon: float) -> tuple[Floats, Floats]:
    """In each window, the linear function of the guide's colours that is nearest to the share.

    Args:
        guide: fp32 [h, w, 3] of 0..1.
        share: fp32 [h, w].
        radius: of the windows.
        epsilon: pull of the slopes towards 0, in squared units of the guide.

    Returns:
        slopes fp32 [h, w, 3] and offset fp32 [h, w] of the window around each pixel.
    """
    return WindowFit(guide, radius, epsilon)(share)


class WindowFit:
    """`linear_fit` for one guide and many shares: what depends on the guide alone is computed once."""

    def __init__(self, guide: Floats, radius: int, epsilon: float) -> None:
        self._window = (2 * radius + 1, 2 * radius + 1)
        self._pixels = self._sum(np.ones(guide.shape[:2], np.float32))
        self._guide = guide
        self._mean = self.mean(guide)
        products = np.dstack([guide[..., i] * guide[..., j] for i in range(3) for j in range(i, 3)])
        pairs = [self._mean[..., i] * self._mean[..., j] for i in range(3) for j in range(i, 3)]
        rr, rg, rb, gg, gb, bb = np.moveaxis(self.mean(products) - np.dstack(pairs), 2, 0)
        rr, gg, bb = rr + epsilon, gg + epsilon, bb + epsilon
        cofactors = (gg * bb - gb * gb, rb * gb - rg * bb, rg * gb - rb * gg)
        determinant = rr * cofactors[0] + rg * cofactors[1] + rb * cofactors[2]
        rest = (rr * bb - rb * rb, rb * rg - rr * gb, rr * gg - rg * rg)
        # The symmetric inverse of the windows' covariance, row by row.
        self._inverse = [each / determinant for each in (*cofactors, *rest)]

    def __call__(self, share: Floats) -> tuple[Floats, Floats]:
        """Slopes and offset of a share; see `linear_fit`."""
        mean = self.mean(share)
        means = self.mean(self._guide * cv2.merge([share] * 3))
        r, g, b = np.moveaxis(means - self._mean * cv2.merge([mean] * 3), 2, 0)
        i = self._inverse
        slopes = (i[0] * r + i[1] * g + i[2] * b, i[1] * r + i[3] * g + i[4] * b, i[2] * r + i[4] * g + i[5] * b)
        offset = mean - sum(slope * self._mean[..., channel] for channel, slope in enumerate(slopes))
        return np.asarray(np.dstack(slopes), np.float32), np.asarray(offset, np.float32)

    def mean(self, values: Floats) -> Floats:
        """The mean of each window, of as many pixels as it has in the picture."""
        share = self._pixels if values.ndim == 2 else self._pixels[..., np.newaxis]
        return np.asarray(self._sum(values) / share, np.float32)

    def laplacian(self, values: Floats) -> Floats:
        """How far each value is from the linear functions of the windows around it: fp32 [h, w], symmetric."""
        total = self._sum(np.dstack(self(values)))
        linear = total[..., 3] + (total[..., :3] * self._guide).sum(axis=2)
        return np.asarray((self._pixels * values - linear) / np.float32(self._window[0] ** 2), np.float32)

    def _sum(self, values: Floats) -> Floats:
        summed = cv2.boxFilter(values, -1, self._window, normalize=False, borderType=cv2.BORDER_CONSTANT)
        return np.asarray(summed, np.float32)
