"""What the Segment Anything networks are asked with: a picture in a square, and points with labels in it.

The geometry is that of the published predictors: Segment Anything's square keeps the picture's aspect and is empty
elsewhere, SAM 2's is filled by it. A box is its upper left and its lower right corner.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from concord.arrays import Floats, Pixels
from concord.clicks import MOST_POINTS, Clicks
from concord.guided import carried
from concord.masks import binary

SQUARE = 1024
"""Pixels of the square's side."""

POINTS = MOST_POINTS + 2
"""How many points a network is given: clicks and the two corners of a box. Those that are not wanted are `ABSENT`."""

ABSENT, PADDING, OTHER, BELONGING, UPPER_LEFT, LOWER_RIGHT = range(-2, 4)
"""Labels. The networks were trained with a point of `PADDING` behind clicks without a box; an absent one has no effect.
"""

MASK_STRIDE = 4  # pixels of the square to one of the logits

DELTA, LEAST_STABILITY = 0.05, 0.98
"""A mask is stable if its logits, lowered by so much, leave this share of what they give when raised by as much."""


@dataclass(frozen=True)
class Fit:
    """Where in the square a picture lies: its longest side fills one, or with `all_over` each side does."""

    all_over: bool

    def size(self, height: int, width: int) -> tuple[int, int]:
        """Height and width in the square, of a picture's."""
        if self.all_over:
            return SQUARE, SQUARE
        scale = SQUARE / max(height, width)
        return max(1, int(height * scale + 0.5)), max(1, int(width * scale + 0.5))


IN_CORNER = Fit(all_over=False)
"""Of Segment Anything."""
ALL_OVER = Fit(all_over=True)
"""Of SAM 2."""


def fitted(pixels: Pixels, fit: Fit) -> tuple[Pixels, NDArray[np.int32]]:
    """The square of a picture uint8 [H, W, 3 or 4], uint8 [S, S, 3], and the height and width of what is filled of it.

    Bilinear and antialiased; alpha is ignored.
    """
    height, width = fit.size(*pixels.shape[:2])
    picture = Image.fromarray(np.ascontiguousarray(pixels[..., :3]))
    square = np.zeros((SQUARE, SQUARE, 3), np.uint8)
    square[:height, :width] = picture.resize((width, height), Image.Resampling.BILINEAR)
    return square, np.array((height, width), np.int32)


def prompts(clicks: Clicks, fit: Fit, height: int, width: int) -> tuple[Floats, NDArray[np.int32]]:
    """Points fp32 [N, 2] in the square of a picture of a size, and their labels int32 [N]; N is `POINTS`."""
    labelled: list[tuple[tuple[float, float], int]] = [(point, BELONGING) for point in clicks.belonging]
    labelled += [(point, OTHER) for point in clicks.others]
    if clicks.box is not None:
        labelled += [(clicks.box[:2], UPPER_LEFT), (clicks.box[2:], LOWER_RIGHT)]
    points, labels = np.zeros((POINTS, 2), np.float32), np.full(POINTS, ABSENT, np.int32)
    new_height, new_width = fit.size(height, width)
    # The networks add half a pixel: theirs are numbers of pixels, ours are places.
    for number, ((x, y), label) in enumerate(labelled):
        points[number] = x * new_width / width - 0.5, y * new_height / height - 0.5
        labels[number] = label
    if clicks.box is None:
        labels[len(labelled)] = PADDING
    return points, labels


def doubtful(clicks: Clicks) -> bool:
    """Whether a part, an object or a group may be meant: more clicks than one, or a box, leave no doubt."""
    return clicks.box is None and len(clicks.belonging) + len(clicks.others) == 1


def sure(logits: Floats, scores: Floats) -> int:
    """Which mask answers where there is no doubt: the first, or the best of the others if the first is not stable.

    As published with SAM 2, of logits fp32 [M, h, w] and scores fp32 [M].
    """
    least, most = (np.count_nonzero(logits[0] > limit) for limit in (DELTA, -DELTA))
    return 0 if least >= LEAST_STABILITY * most else 1 + int(scores[1:].argmax())


def full_mask(logits: Floats, pixels: Pixels, fit: Fit) -> Pixels:
    """The mask of a picture uint8 [H, W, 3 or 4], uint8 [H, W] of 0 and 255, from logits fp32 [S/4, S/4] of its square.

    As published up to the size of the square; in a larger picture its edge follows the picture's own.
    """
    height, width = pixels.shape[:2]
    if fit.all_over and max(height, width) <= SQUARE:
        return _thresholded(_resized(logits, height, width))
    inner_height, inner_width = fit.size(height, width)
    enlarged = _resized(logits, SQUARE, SQUARE)[:inner_height, :inner_width]
    if max(height, width) > SQUARE:
        return binary(carried((enlarged > 0).astype(np.float32), pixels))
    return _thresholded(_resized(enlarged, height, width))


def ranked(scores: Sequence[float]) -> list[int]:
    """Positions, the best score first."""
    return sorted(range(len(scores)), key=lambda position: -scores[position])


def _resized(logits: Floats, height: int, width: int) -> Floats:
    return np.asarray(cv2.resize(logits, (width, height), interpolation=cv2.INTER_LINEAR), np.float32)


def _thresholded(logits: Floats) -> Pixels:
    return np.where(logits > 0, np.uint8(255), np.uint8(0))
