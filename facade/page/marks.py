"""Marks in the editor and the masks they stand for, and the smaller copies of photographs that a browser shows."""

import io
import secrets
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TypeAlias

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from concord import shapes
from concord.noise import MAX_SEED
from concord.outline import Outline
from concord.png import encode_png
from facade.problems import Problem

COLOUR = (232, 62, 120)
"""RGB of what is marked, in the editor."""

OPACITY = 0.6
"""Of the mark, so that what lies under it can be seen."""

Mask: TypeAlias = NDArray[np.uint8]
"""[H, W] of 0 and 255."""


def painted(layers: Iterable[Path], size: tuple[int, int]) -> Mask:
    """What is painted on the editor's layers: where one is at least half as opaque as the brush.

    Raises:
        Problem: a layer is no PNG file of this height and width.
        TooComplex: a layer has too many parts.
    """
    mask = np.zeros(size, np.uint8)
    for layer in layers:
        try:
            content = layer.read_bytes()
            Outline.of(content, "mask")
            with Image.open(io.BytesIO(content), formats=["PNG"]) as picture:
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
    return _shaped(mask, shapes.rectangle)


def rounded(mask: Mask) -> Mask:
    """The ellipses in those rectangles."""
    return _shaped(mask, shapes.ellipse)


def uneven(mask: Mask) -> Mask:
    """The mask with an uneven edge, another one each time."""
    return shapes.irregular(mask, secrets.randbelow(MAX_SEED))


def cleared(mask: Mask) -> Mask:
    return np.zeros_like(mask)


def _shaped(mask: Mask, shape: Callable[[shapes.Box, int, int], Mask]) -> Mask:
    """A shape in the box around each of the mask's parts."""
    made = np.zeros_like(mask)
    outlines, _ = cv2.findContours(mask, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
    for outline in outlines:
        left, top, width, height = cv2.boundingRect(outline)
        place = made[top : top + height, left : left + width]
        np.maximum(place, shape((0, 0, width, height), height, width), out=place)
    return made
