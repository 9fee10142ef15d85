"""CRIS's view of an image: 416 x 416 with its aspect kept, and the way back from its logits to a mask.

The geometry is that of the published CRIS (its ``RefDataset.getTransformMat`` and ``inference``): cubic ``warpAffine``
both ways, sigmoid, bicubic upsampling with aligned corners, threshold 0.35.
"""

import cv2
import numpy as np

from concord.arrays import Floats, Pixels, sigmoid
from concord.bands import side_by_side

CRIS_SIZE = 416
LOGITS_SIZE = 104
MASK_THRESHOLD = 0.35
CLIP_MEAN = (0.48145466, 0.4578275, 0.40821073)
CLIP_STD = (0.26862954, 0.26130258, 0.27577711)

_TILE = 128
# Sum of the positive weights of OpenCV's cubic kernel (a = -0.75), largest halfway between pixels, in two dimensions:
# 1.1875**2 + 0.1875**2. The negative ones sum to 1 less.
_POSITIVE_WEIGHTS = 1.4453125


def letterbox(pixels: Pixels) -> Pixels:
    """Fits an image, uint8 [H, W, 3 or 4] RGB(A), into CRIS's square, [416, 416, 3]; alpha is ignored.

    Centred, with cubic interpolation and a border of CLIP's mean colour.
    """
    height, width = pixels.shape[:2]
    colours = np.ascontiguousarray(pixels[..., :3])
    border = [mean * 255 for mean in CLIP_MEAN]
    into_square = cv2.getAffineTransform(*_corners(height, width))
    size = (CRIS_SIZE, CRIS_SIZE)
    return np.asarray(cv2.warpAffine(colours, into_square, size, flags=cv2.INTER_CUBIC, borderValue=border), np.uint8)


def mask_from_logits(logits: Floats, height: int, width: int) -> tuple[Pixels, float]:
    """CRIS's logits, fp32 [1, 104, 104], as a mask of the original image, uint8 [H, W] of 0 and 255, and its score.

    The score is the mean probability inside the mask, taken at CRIS's resolution; 0 if the mask is empty.
    """
    probabilities = square_probabilities(logits)
    mask = _threshold_out_of_square(probabilities, height, width)
    if not cv2.hasNonZero(mask):
        return mask, 0.0
    left, top = _corners(height, width)[1][0]
    picture = probabilities[int(top) : CRIS_SIZE - int(top), int(left) : CRIS_SIZE - int(left)]
    inside = picture[picture > MASK_THRESHOLD]
    # Between pixels the cubic can pass a threshold that it passes at none of them.
    return mask, min(float(inside.mean()), 1.0) if inside.size else MASK_THRESHOLD


def square_probabilities(logits: Floats) -> Floats:
    """Foreground probabilities at CRIS's input size, fp32 [416, 416], from logits fp32 [1, 104, 104].

    As ``torch.nn.functional.interpolate(sigmoid(logits), 416, mode="bicubic", align_corners=True)``; may leave 0..1 by
    the overshoot of the cubic.
    """
    return np.asarray(_UPSAMPLE @ sigmoid(logits[0]) @ _UPSAMPLE.T, np.float32)


def _corners(height: int, width: int) -> tuple[Floats, Floats]:
    """Three corners (x, y) of the image, and where they lie in the square."""
    scale = min(CRIS_SIZE / height, CRIS_SIZE / width)
    new_height, new_width = height * scale, width * scale
    left, top = (CRIS_SIZE - new_width) / 2.0, (CRIS_SIZE - new_height) / 2.0
    source = np.array([[0, 0], [width, 0], [0, height]], np.float32)
    target = np.array([[left, top], [new_width + left, top], [left, new_height + top]], np.float32)
    return source, target


def _threshold_out_of_square(probabilities: Floats, height: int, width: int) -> Pixels:
    """``warpAffine`` of the probabilities to the image's size, thresholded, without warping where the answer is known.

    Most of a mask is far from its edge, so this saves nearly all of a large image's cubic sampling, and the float
    picture of its size. Equal to the plain warp pixel for pixel: a tile whose probabilities cannot reach the threshold
    is background, one whose cannot fall to it is foreground, and any other is sampled at ``warpAffine``'s coordinates.
    """
    source, target = _corners(height, width)
    back = cv2.invertAffineTransform(cv2.getAffineTransform(target, source))
    # warpAffine's own fixed-point arithmetic: each axis rounded to 1/1024 pixel, then down to 1/32. The coordinates of
    # an unrotated warp depend on one axis each, so a row and a column of them serve every tile.
    columns = ((np.rint(back[0, 0] * np.arange(width) * 1024) + np.rint(back[0, 2] * 1024) + 16) // 32) / 32
    rows = ((np.rint((back[1, 1] * np.arange(height) + back[1, 2]) * 1024) + 16) // 32) / 32
    columns, rows = columns.astype(np.float32), rows.astype(np.float32)
    lowest, highest = _bounds(probabilities)
    mask = np.zeros((height, width), np.uint8)

    def threshold(band: slice) -> None:
        y = rows[band]
        near = slice(int(y[0]) + 1, int(y[-1]) + 2)
        if highest[near].max() <= MASK_THRESHOLD:
            return
        for left in range(0, width, _TILE):
            x = columns[left : left + _TILE]
            cells = near, slice(int(x[0]) + 1, int(x[-1]) + 2)
            if highest[cells].max() <= MASK_THRESHOLD:
                continue
            tile = mask[band, left : left + _TILE]
            if lowest[cells].min() > MASK_THRESHOLD:
                tile[:] = 255
                continue
            map_x = np.ascontiguousarray(np.broadcast_to(x, tile.shape))
            map_y = np.ascontiguousarray(np.broadcast_to(y[:, None], tile.shape))
            warped = cv2.remap(probabilities, map_x, map_y, cv2.INTER_CUBIC)
            tile[warped > MASK_THRESHOLD] = 255

    side_by_side(threshold, 0, height, _TILE)
    return mask


def _bounds(probabilities: Floats) -> tuple[Floats, Floats]:
    """Least and largest value that the cubic can take between pixels, fp32 [418, 418] each.

    Entry [i, j] holds from pixel [i - 1, j - 1] to the next, and so depends on the 4 x 4 pixels around them.
    """
    padded = np.pad(probabilities, 3)
    window = np.ones((4, 4), np.uint8)
    least = cv2.erode(padded, window, anchor=(1, 1))[2:-2, 2:-2]
    largest = cv2.dilate(padded, window, anchor=(1, 1))[2:-2, 2:-2]
    reach = _POSITIVE_WEIGHTS * (largest - least) + 1e-4
    return np.asarray(largest - reach, np.float32), np.asarray(least + reach, np.float32)


def _bicubic_matrix(size: int, new_size: int, a: float = -0.75) -> Floats:
    """Cubic convolution (Keys 1981) with aligned corners and repeated edges, as a matrix [new_size, size]."""
    position = np.arange(new_size) * (size - 1) / (new_size - 1)
    first = np.floor(position).astype(int)
    matrix = np.zeros((new_size, size))
    for tap in range(-1, 3):
        distance = np.abs(position - first - tap)
        near = ((a + 2) * distance - (a + 3)) * distance**2 + 1
        far = ((a * distance - 5 * a) * distance + 8 * a) * distance - 4 * a
        weight = np.where(distance <= 1, near, far)
        np.add.at(matrix, (np.arange(new_size), np.clip(first + tap, 0, size - 1)), weight)
    return matrix.astype(np.float32)


_UPSAMPLE = _bicubic_matrix(LOGITS_SIZE, CRIS_SIZE)
