"""Masks of the page: on the editor's canvas, which may be smaller than the photograph, and of the photograph's size."""

from collections.abc import Iterable
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from concord.images import encode_png
from facade.problems import Problem

COLOUR = (232, 62, 120)
"""RGB of what is marked, in the editor."""

OPACITY = 0.6
"""Of the mark, so that what lies under it can be seen."""

Mask = NDArray[np.uint8]
"""[H, W] of 0 and 255."""


def painted(layers: Iterable[Path], size: tuple[int, int]) -> Mask:
    """What is painted on the editor's layers: where one is at least half as opaque as the brush.

    Args:
        layers: PNG files of the canvas's size.
        size: that size, height and width in pixels.

    Raises:
        Problem: a layer is no such file.
    """
    mask = np.zeros(size, np.uint8)
    for layer in layers:
        try:
            with Image.open(layer, formats=["PNG"]) as picture:
                if (picture.height, picture.width) != size:
                    raise Problem("invalid_mask", "it has another size than the photograph", field="mask")
                opacity = np.asarray(picture.convert("RGBA").getchannel("A"))
        except OSError as error:
            raise Problem("invalid_mask", "it did not arrive whole; press the button again", field="mask") from error
        mask[opacity >= 255 * OPACITY / 2] = 255
    return mask


def layer_of(mask: Mask) -> bytes:
    """A layer for the editor, of which `painted` gives the same mask: PNG."""
    layer = np.zeros((*mask.shape, 4), np.uint8)
    layer[mask > 0] = (*COLOUR, round(255 * OPACITY))
    return encode_png(layer)


def resized(mask: Mask, size: tuple[int, int]) -> Mask:
    """The mask with another height and width; the nearest pixel decides."""
    if mask.shape == size:
        return mask
    return np.asarray(cv2.resize(mask, size[::-1], interpolation=cv2.INTER_NEAREST_EXACT), np.uint8)


def filled(mask: Mask) -> Mask:
    """The mask with everything filled that a line of it goes around, as a lasso does."""
    outlines, _ = cv2.findContours(mask, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
    return np.asarray(cv2.drawContours(mask.copy(), outlines, -1, [255], cv2.FILLED), np.uint8)


def boxed(mask: Mask) -> Mask:
    """The rectangles around the mask's parts; a stroke from corner to corner becomes its rectangle."""
    boxes = np.zeros_like(mask)
    outlines, _ = cv2.findContours(mask, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
    for outline in outlines:
        left, top, width, height = cv2.boundingRect(outline)
        boxes[top : top + height, left : left + width] = 255
    return boxes


def cleared(mask: Mask) -> Mask:
    """Nothing of the mask."""
    return np.zeros_like(mask)
