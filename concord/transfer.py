"""Carries the change that a network made at small size to the image at full size.

Between the small composite and the small result a local linear map ``a * x + b`` per channel is fitted inside the mask
(fast guided filter, He & Sun 2015), upsampled, and applied to the original pixels; what the fit leaves over at small
size is added to ``b``, as far as the network can be trusted to render detail. So detail comes from the original, light
and colour from the network.
"""

import cv2
import numpy as np
from numpy.typing import NDArray

from concord.arrays import Floats, Pixels
from concord.bands import side_by_side
from concord.composition import added
from concord.errors import ConcordError
from concord.matte import foreground

_BAND = 64  # rows
_RADIUS = 4  # of the windows of the fit, in small pixels
_WINDOW = (2 * _RADIUS + 1, 2 * _RADIUS + 1)
# The mean of 4 and then of 2 neighbours: no energy is left at a period of 4 pixels, the side of a Harmony Transformer's
# patches, whose borders else show as a grid.
_PATCH = np.array([1, 2, 2, 2, 1], np.float32) / 8
_EPSILON = 1e-3  # pull of the slope towards 1, in squared units of 0..1
# A network errs more where it changes the image than where it repeats it: the power of its error in the background is
# taken this many times, less what JPEG puts there. Measured on the demo's harmonizer, against fixed shares.
_CAUTION = 30
_JPEG_NOISE = (1.3 / 255) ** 2


def transfer(
    pixels: Pixels,
    mask: Pixels,
    small_composite: Pixels,
    small_mask: Pixels,
    small_result: Floats,
    *,
    opacity: Pixels | None = None,
    smoothing: float = 1.0,
    residual: float | None = None,
    feather: float = 0.25,
    strength: float = 1.0,
    in_place: bool = False,
) -> Pixels:
    """Harmonizes the foreground of an image from a network's result at small size.

    The larger the image, the less of the result's finest detail is taken, since a network blurs what the original has
    sharp; with ``residual=1`` the foreground is the network's result at the small size itself.

    Args:
        pixels: uint8 [H, W, 3 or 4] RGB(A); alpha is returned as it came.
        mask: uint8 [H, W] of 0 and 255.
        small_composite: uint8 [h, w, 3], ``squash_image(pixels)``.
        small_mask: uint8 [h, w] of 0 and 1, ``squash_mask(mask)``.
        small_result: fp32 [3, h, w], the network's output before pasting; clipped to 0..1 here. NaN farther than
            16 pixels from the mask, where it is not known.
        opacity: uint8 [H, W] of a soft edge, in the place of mask and feather: what changes are the part's own colours,
            of which a pixel has so much; what it has of the background stays.
        smoothing: most that composite and result are blurred before they are compared, as a Gaussian's standard
            deviation in small pixels. Full where the image is at least ``1 + smoothing`` times the small size.
        residual: share of what the fit leaves over that is added back; by default the Wiener gain ``1 - n / s``, where
            ``s`` is the power of what the fit leaves over in the foreground, and ``n`` a multiple of that of the
            network's error in the background, where the truth is known, the grid of its patches included.
        feather: width of the ramp inside the mask's edge, in small pixels, less the first full-size one.
        strength: factor of the change, before it is rounded and clipped.
        in_place: whether ``pixels`` are changed and returned, and not a copy of them.

    Returns:
        uint8 like ``pixels``, equal to it bit for bit outside the mask, or where the opacity is 0; and everywhere,
        where ``small_mask`` is empty.

    Raises:
        ConcordError: the network's result is not finite inside the mask.
    """
    harmonized = pixels if in_place else pixels.copy()
    inside = small_mask > 0
    shown = mask if opacity is None else opacity
    x, y, width, height = cv2.boundingRect(shown)
    if not inside.any() or width == 0:
        return harmonized
    if not np.isfinite(small_result[:, inside]).all():
        raise ConcordError("SMALL_RESULT", "the network's result is not finite")
    magnification = float(np.sqrt(mask.size / small_mask.size))
    sigma = min(smoothing, max(magnification - 1, 0))
    result = np.ascontiguousarray(np.moveaxis(small_result, 0, 2), np.float32)
    near = _surroundings(inside, _RADIUS + int(np.ceil(3 * sigma)))
    slope = np.zeros_like(result)
    offset, leftover = slope.copy(), slope.copy()
    slope[near], offset[near], leftover[near] = _fit(small_composite[near], inside[near], result[near], sigma)
    if residual is None:
        error = _background_error(small_composite, inside, result, sigma)
        residual = _wiener_gain(leftover[inside], error)
    offset += np.float32(residual) * leftover
    offset *= np.float32(255)
    if not inside.all():
        nearest = _nearest(inside)
        slope, offset = (np.take(values.reshape(-1, 3), nearest, axis=0) for values in (slope, offset))

    weights = _bilinear_matrix(small_mask.shape[0], mask.shape[0], y, height)
    needed = np.flatnonzero(weights.any(axis=0))
    rows = slice(needed[0], needed[-1] + 1)
    weights = weights[:, rows]
    slope = _upsample_columns(slope[rows], mask.shape[1], x, width)
    offset = _upsample_columns(offset[rows], mask.shape[1], x, width)
    ramp = 1 + feather * max(magnification - 1, 0)
    own = None if opacity is None else foreground(pixels, opacity)

    def share(rows: slice, columns: slice) -> Floats:
        if opacity is None:
            opaque = alpha(mask, rows, columns, ramp)
        else:
            opaque = opacity[rows, columns].astype(np.float32) / 255
        opaque *= np.float32(strength)
        return opaque

    def harmonize(band: slice) -> None:
        rows = slice(y + band.start, y + band.stop)
        marked = np.flatnonzero(shown[rows, x : x + width].any(axis=0))
        if not len(marked):
            return
        first, last = int(marked[0]), int(marked[-1]) + 1
        taken = np.flatnonzero(weights[band].any(axis=0))
        small = np.s_[taken[0] : taken[-1] + 1, 3 * first : 3 * last]
        upsampling = weights[band, small[0]]
        columns = slice(x + first, x + last)
        original = harmonized[rows, columns, :3]
        before = original.astype(np.float32).reshape(len(original), -1)
        colours = before if own is None else own[rows, columns].astype(np.float32).reshape(before.shape)
        change = upsampling @ slope[small]
        change *= colours
        change += upsampling @ offset[small]
        change -= colours
        shares = _in_colour(share(rows, columns)).reshape(before.shape)
        original[:] = added(before, change, shares).reshape(original.shape)

    side_by_side(harmonize, 0, height, _BAND)
    return harmonized


def _fit(composite: Pixels, inside: NDArray[np.bool_], result: Floats, sigma: float) -> tuple[Floats, Floats, Floats]:
    """Slope, offset and what they leave over, fp32 [h, w, 3] each, of the map from composite to result in 0..1."""
    weight = inside.astype(np.float32)
    weights = _in_colour(weight)
    x = composite.astype(np.float32) / 255 * weights
    y = np.where(weights > 0, np.clip(result, 0, 1), 0).astype(np.float32)

    def box(values: Floats) -> Floats:
        return np.asarray(
            cv2.boxFilter(values, -1, _WINDOW, normalize=False, borderType=cv2.BORDER_CONSTANT), np.float32
        )

    def blur(values: Floats) -> Floats:
        return np.asarray(cv2.GaussianBlur(values, (0, 0), sigma, borderType=cv2.BORDER_CONSTANT), np.float32)

    count = _in_colour(np.maximum(box(weight), 1))
    share = _in_colour(np.maximum(blur(weight), 1e-6)) if sigma else weights

    def mean(values: Floats) -> Floats:
        return np.asarray(box(values * weights) / count, np.float32)

    def smooth(values: Floats) -> Floats:
        return np.asarray(blur(values * weights) / share, np.float32) if sigma else values

    smooth_x, smooth_y = smooth(x), smooth(y)
    mean_x, mean_y = mean(smooth_x), mean(smooth_y)
    covariance = mean(smooth_x * smooth_y) - mean_x * mean_y
    variance = np.maximum(mean(smooth_x * smooth_x) - mean_x * mean_x, 0)
    slope = (covariance + _EPSILON) / (variance + _EPSILON)
    slope, offset = mean(slope), mean(mean_y - slope * mean_x)
    leftover = smooth(y - slope * x - offset)
    # As long as the image is hardly larger than the network's, its patches are as small as its pixels.
    leftover += np.float32(min(sigma, 1)) * (_without_patches(leftover, weights) - leftover)
    return slope, offset, leftover


def _background_error(composite: Pixels, inside: NDArray[np.bool_], result: Floats, sigma: float) -> Floats:
    """Where the result renders the background wrongly, but for its local mean, fp32 [n, 3]."""
    if inside.all():
        return np.empty((0, 3), np.float32)
    outside = ~inside & np.isfinite(result).all(axis=2)
    weight = _in_colour(outside.astype(np.float32))
    error = np.clip(result, 0, 1)
    error -= composite.astype(np.float32) / 255
    error = np.where(weight > 0, error, np.float32(0))
    if sigma:
        share = cv2.GaussianBlur(weight, (0, 0), sigma)
        error = cv2.GaussianBlur(error, (0, 0), sigma) / np.maximum(share, 1e-6) * weight
    error -= cv2.blur(error, _WINDOW) / np.maximum(cv2.blur(weight, _WINDOW), 1e-6)
    return np.asarray(error[outside], np.float32)


def _without_patches(values: Floats, weights: Floats) -> Floats:
    """Values [h, w, 3] where the weights are not 0, smoothed so that no period of 4 pixels is left."""

    def mixed(values: Floats) -> Floats:
        return np.asarray(cv2.sepFilter2D(values, -1, _PATCH, _PATCH, borderType=cv2.BORDER_CONSTANT), np.float32)

    return np.asarray(mixed(values * weights) / np.maximum(mixed(weights), 1e-6), np.float32)


def _in_colour(values: Floats) -> Floats:
    """[h, w] as [h, w, 3]: numpy is several times as fast with it as with an axis of one that it repeats."""
    return np.asarray(cv2.merge([values] * 3), np.float32)


def _surroundings(inside: NDArray[np.bool_], margin: int) -> tuple[slice, slice]:
    """Rows and columns of the mask's bounding box and what lies within ``margin`` pixels of it."""
    x, y, width, height = cv2.boundingRect(inside.astype(np.uint8))
    return slice(max(y - margin, 0), y + height + margin), slice(max(x - margin, 0), x + width + margin)


def _wiener_gain(signal: Floats, error: Floats) -> float:
    """Share of a signal [n, 3] to keep, given a sample of the error in it [m, 3]; 1 without one."""
    power = float(np.square(signal).mean())
    if not len(error) or not np.isfinite(error).all():
        return 1.0
    noise = _CAUTION * max(float(np.square(error).mean()) - _JPEG_NOISE, 0)
    return max(0.0, 1 - noise / max(power, 1e-12))


def _nearest(inside: NDArray[np.bool_]) -> NDArray[np.intp]:
    """For every pixel the flat index of the nearest one inside the mask, whose values keep the background out."""
    outside = np.where(inside, 0, 1).astype(np.uint8)
    _, labels = cv2.distanceTransformWithLabels(outside, cv2.DIST_L2, 5, labelType=cv2.DIST_LABEL_PIXEL)
    by_label = np.zeros(int(labels.max()) + 1, np.intp)
    by_label[labels[inside]] = np.flatnonzero(inside)
    return np.asarray(by_label[labels], np.intp)


def _upsample_columns(values: Floats, full_width: int, x: int, width: int) -> Floats:
    """Upsamples [h, w, 3] along its rows to ``full_width`` columns and keeps ``width`` of them: [h, width * 3]."""
    upsampled = cv2.resize(values, (full_width, values.shape[0]), interpolation=cv2.INTER_LINEAR)
    return np.ascontiguousarray(upsampled[:, x : x + width]).reshape(len(values), -1)


def _bilinear_matrix(size: int, full_size: int, first: int, count: int) -> Floats:
    """Bilinear upsampling, pixel centres aligned as ``squash`` has them, as a matrix [count, size]."""
    position = np.clip((np.arange(first, first + count) + 0.5) * size / full_size - 0.5, 0, size - 1)
    distance = np.abs(position[:, None] - np.arange(size))
    return np.asarray(np.maximum(1 - distance, 0), np.float32)


def alpha(mask: Pixels, rows: slice, columns: slice, ramp: float) -> Floats:
    """Opacity of a part of the mask: rises to 1 with the distance to the background, 1 pixel at the mask's edge, over
    ``ramp`` pixels or as far as a thin mask goes; the image's own border is no edge.
    """
    reach = int(np.ceil(ramp)) - 1
    margin = 2 * reach + 1  # of the deepest pixels near by, and of the background near those
    top, left = max(rows.start - margin, 0), max(columns.start - margin, 0)
    around = mask[top : rows.stop + margin, left : columns.stop + margin]
    depth = np.minimum(cv2.distanceTransform(around, cv2.DIST_L2, cv2.DIST_MASK_5), np.float32(ramp))
    deepest = cv2.dilate(depth, np.ones((2 * reach + 1, 2 * reach + 1), np.uint8))
    part = np.s_[rows.start - top : rows.stop - top, columns.start - left : columns.stop - left]
    return np.asarray(depth[part] / np.maximum(deepest[part], 1), np.float32)
