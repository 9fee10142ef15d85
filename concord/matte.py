"""The opacity of a part along its edge, and its own colours there: for hair, fur, glass and what is out of focus.

The opacity is the smoothest one that is a linear function of the colours in every window (closed-form matting, Levin et
al. 2008; with windows as wide as the band, He et al. 2010), found by conjugate gradients at a small size and carried to
full size by a guided filter. The colours are estimated as by Forte (2021): a blurred foreground and background, and
then what explains the mixed pixel.
"""

import cv2
import numpy as np

from concord.arrays import Floats, Pixels
from concord.bands import side_by_side
from concord.guided import WindowFit, carried, enlarged, resized, size_within
from concord.masks import THRESHOLD, depths, surroundings

_SIDE = 320  # of the working picture, its longer one
_BAND = 0.06  # how far from the mask an opacity may be, as a share of the root of the mask's area
_LEAST_BAND = 3.0  # working pixels
_INNER = 0.3  # of that width, towards the part: hair goes out farther than holes go in
_CORE = 0.6  # of the depth of a thin part that is opaque whatever its colours say
_WINDOW_RADIUS = 5
_EPSILON = 1e-4  # in squared units of 0..1; for less, single precision is too coarse
_KNOWN = 100.0  # weight of the opacity where it is known
_PULL = 1e-2  # weight of the mask between: where colours say nothing
_STEPS = 15  # of the conjugate gradients
_LEAST, _MOST = 0.1, 0.9  # opacities that are taken for none and for full
_ROWS = 64


def matte(pixels: Pixels, mask: Pixels) -> Pixels:
    """The opacity of a mask's part.

    Args:
        pixels: uint8 [H, W, 3 or 4] RGB(A); alpha is ignored.
        mask: uint8 [H, W] of 0 and 255, whose edge follows the picture's.

    Returns:
        uint8 [H, W]: as the mask but for a band around its edge.
    """
    if not mask.any():
        return mask
    box = surroundings(mask, 0, _BAND)
    inside, before = (np.ascontiguousarray(each[box]) for each in (pixels[..., :3], mask))
    size = size_within(before.shape, _SIDE)
    small = (resized(before, size) >= THRESHOLD).astype(np.uint8)
    if small.all() or not small.any():
        return mask
    opacity = _solved(resized(inside, size).astype(np.float32) / 255, small)
    fit = np.zeros_like(mask)
    fit[box] = carried(opacity, inside, radius=1, epsilon=_EPSILON)
    return fit


def foreground(pixels: Pixels, alpha: Pixels) -> Pixels:
    """The part's own colours: where it is half transparent, what the picture would be without the background.

    Args:
        pixels: uint8 [H, W, 3 or 4] RGB(A).
        alpha: uint8 [H, W].

    Returns:
        uint8 [H, W, 3], the picture's own colours where ``alpha`` is 0 or 255.
    """
    own = pixels[..., :3].copy()
    if not alpha.any():
        return own
    box = surroundings(alpha, 0, _BAND)
    inside, opacity = own[box], alpha[box]
    size = size_within(opacity.shape, _SIDE)
    small = resized(np.ascontiguousarray(inside), size).astype(np.float32)
    ours, theirs = _blurred_sides(small, resized(np.ascontiguousarray(opacity), size).astype(np.float32) / 255)

    def estimate(rows: slice) -> None:
        share = opacity[rows]
        mixed = np.flatnonzero(((share > 0) & (share < 255)).any(axis=0))
        if not len(mixed):
            return
        columns = slice(int(mixed[0]), int(mixed[-1]) + 1)
        share = share[:, columns]
        front, back = (enlarged(each, opacity.shape, rows, columns) for each in (ours, theirs))
        a = cv2.merge([share.astype(np.float32) / 255] * 3)
        colours = inside[rows, columns]
        front += a * (colours - a * front - (1 - a) * back)
        estimated = np.clip(front + 0.5, 0, 255).astype(np.uint8)
        between = (share > 0) & (share < 255)
        colours[between] = estimated[between]

    side_by_side(estimate, 0, len(opacity), _ROWS)
    return own


def _solved(guide: Floats, inside: Pixels) -> Floats:
    """Opacities fp32 [h, w] from colours fp32 [h, w, 3] of 0..1 and a mask of 0 and 1."""
    depth, distance = depths(inside)
    band = max(_LEAST_BAND, _BAND * float(np.sqrt(np.count_nonzero(inside))))
    core = min(_INNER * band, _CORE * float(depth.max()))
    known = (depth > core) | (distance > band)
    share = inside.astype(np.float32)
    weight = np.where(known, np.float32(_KNOWN), np.float32(_PULL))
    fit = WindowFit(guide, _WINDOW_RADIUS, _EPSILON)

    def applied(values: Floats) -> Floats:
        """The matting Laplacian, and the pull towards what is known."""
        return np.asarray(fit.laplacian(values) + weight * values, np.float32)

    opacity = share.copy()
    residual = weight * share - applied(opacity)
    preconditioned = residual / (1 + weight)
    direction = preconditioned.copy()
    power = float((residual * preconditioned).sum())
    for _ in range(_STEPS):
        if power < 1e-6:
            break
        ahead = applied(direction)
        curvature = float((direction * ahead).sum())
        if curvature <= 0:  # rounding: nothing more is to be learned
            break
        step = power / curvature
        opacity += np.float32(step) * direction
        residual -= np.float32(step) * ahead
        preconditioned = residual / (1 + weight)
        before, power = power, float((residual * preconditioned).sum())
        direction = preconditioned + np.float32(power / before) * direction
    opacity = np.where(known, share, (opacity - _LEAST) / (_MOST - _LEAST))
    return np.asarray(np.clip(opacity, 0, 1), np.float32)


def _blurred_sides(colours: Floats, share: Floats) -> tuple[Floats, Floats]:
    """Foreground and background fp32 [h, w, 3], smooth and known everywhere: a wide mean where a near one lacks."""
    sides = []
    for weight in (share**2, (1 - share) ** 2):
        side = np.full_like(colours, float(colours.mean()))
        for reach in (65, 17, 5):
            total = cv2.blur(weight, (reach, reach))
            near = cv2.blur(colours * cv2.merge([weight] * 3), (reach, reach))
            trust = np.minimum(total * 4, 1)
            mean = near / cv2.merge([np.maximum(total, 1e-6)] * 3)
            side += cv2.merge([trust] * 3) * (mean - side)
        sides.append(np.asarray(side, np.float32))
    return sides[0], sides[1]
