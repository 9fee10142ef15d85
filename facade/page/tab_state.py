"""What the page knows of one browser tab: its photograph with smaller copies, and what was last marked in it.

Masks are of the editor's canvas, which may be smaller than the photograph, or of the photograph's size.
"""

import io
import os
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from concord.images import decode_image
from concord.limits import Limits
from concord.masks import decode_mask, encode_mask
from concord.outline import Outline
from concord.png import encode_png
from facade.problems import Problem

CANVAS_SIDE = 1280
"""Longest side of the editor's canvas: at three device pixels to one, a phone's graphics take no more."""

SHOWN_SIDE = 2048
"""Longest side of the pictures that are compared."""

FORGOTTEN = "it is no longer here; drop it again"
"""Of a photograph that was deleted after a while, or by a restart."""

COLOUR = (232, 62, 120)
"""RGB of what is marked, in the editor."""

OPACITY = 0.6
"""Of the mark, so that what lies under it can be seen."""

Mask = NDArray[np.uint8]
"""[H, W] of 0 and 255."""

_QUALITY = 92


@dataclass(frozen=True)
class Copy:
    """A JPEG that every browser shows: upright, transparency over white, never larger than its original.

    Its size, and that of the original upright, are height and width in pixels.
    """

    jpeg: bytes
    size: tuple[int, int]
    original: tuple[int, int]


@dataclass(frozen=True)
class Photograph:
    """A dropped file of `length` bytes, unchanged, and its copy for the editor; heights and widths are upright."""

    path: Path
    length: int
    size: tuple[int, int]
    canvas: Path
    canvas_size: tuple[int, int]

    def encoded(self) -> bytes:
        """The file's bytes; it counts as used now.

        Raises:
            Problem: it was swept away.
        """
        try:
            os.utime(self.canvas)
            os.utime(self.path)
            return self.path.read_bytes()
        except OSError as error:
            raise Problem("missing_field", FORGOTTEN, field="image") from error


@dataclass(frozen=True)
class TabState:
    """One tab's state.

    Attributes:
        mask: grey PNG of the photograph's size that was last put in the editor or used; None where nothing was marked.
        words: for which the mask was found; empty where it was made by hand.
        compared: whether before and after are shown, in the editor's place.
    """

    photograph: Photograph
    mask: bytes | None = None
    words: str = ""
    compared: bool = False

    def canvas_mask(self) -> Mask:
        """The mask on the editor's canvas."""
        if self.mask is None:
            return np.zeros(self.photograph.canvas_size, np.uint8)
        height, width = self.photograph.size
        mask = decode_mask(self.mask, height, width, Limits(max_pixels=height * width))
        return resized(mask, self.photograph.canvas_size)

    def centre(self) -> float:
        """How far right the middle of what is marked lies, 0..1."""
        columns = np.flatnonzero(self.canvas_mask().any(axis=0))
        return float(columns.mean() + 0.5) / self.photograph.canvas_size[1] if columns.size else 0.5

    def marked(self, layers: list[Path], words: str) -> bytes | None:
        """What is to be harmonized, a grey PNG of the photograph's size; None where words are to find it.

        What is marked goes before the words that are typed now, unless it was found for others and not changed since.

        Raises:
            Problem: a layer is not the canvas's.
        """
        canvas = self.canvas_mask()
        mask = canvas if self.compared else painted(layers, self.photograph.canvas_size)
        if not mask.any():
            return None
        if not np.array_equal(mask, canvas):
            return encode_mask(resized(mask, self.photograph.size))
        return None if words and self.words and words != self.words else self.mask


def copy_of(encoded: bytes, limits: Limits, side: int) -> Copy:
    """A copy for the browser of any picture that Concord takes, its longest side in pixels at most `side`.

    Raises:
        ConcordError: as `concord.images.decode_image`.
    """
    decoded = decode_image(encoded, limits)
    pixels, original = decoded.pixels, decoded.pixels.shape[:2]
    scale = side / max(original)
    if scale < 1:
        height, width = (max(1, round(length * scale)) for length in original)
        pixels = np.asarray(cv2.resize(pixels, (width, height), interpolation=cv2.INTER_AREA), np.uint8)
    picture = Image.fromarray(pixels)
    if picture.mode == "RGBA":
        picture = Image.alpha_composite(Image.new("RGBA", picture.size, "white"), picture).convert("RGB")
    file = io.BytesIO()
    picture.save(file, "JPEG", quality=_QUALITY, subsampling=0, icc_profile=decoded.icc_profile or None)
    return Copy(file.getvalue(), (picture.height, picture.width), (original[0], original[1]))


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
    boxes = np.zeros_like(mask)
    outlines, _ = cv2.findContours(mask, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
    for outline in outlines:
        left, top, width, height = cv2.boundingRect(outline)
        boxes[top : top + height, left : left + width] = 255
    return boxes


def cleared(mask: Mask) -> Mask:
    return np.zeros_like(mask)
