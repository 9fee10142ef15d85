"""A person's photograph: its file as it was dropped, and smaller copies for the browser."""

import io
import os
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from PIL import Image

from concord.images import decode_image
from concord.limits import Limits
from facade.problems import Problem

CANVAS_SIDE = 1280
"""Longest side of the editor's canvas: at three device pixels to one, a phone's graphics take no more."""

SHOWN_SIDE = 2048
"""Longest side of the pictures that are compared."""

FORGOTTEN = "it is no longer here; drop it again"
"""Of a photograph that was deleted after a while, or by a restart."""

_QUALITY = 92


@dataclass(frozen=True)
class Copy:
    """A JPEG that every browser shows: upright, transparency over white, never larger than its original.

    Attributes:
        jpeg: the file.
        size: its height and width in pixels.
        original: the original's, upright.
    """

    jpeg: bytes
    size: tuple[int, int]
    original: tuple[int, int]


@dataclass(frozen=True)
class Photograph:
    """What is known of a dropped file.

    Attributes:
        path: of the file, unchanged.
        size: height and width of the upright picture in pixels.
        canvas: file of the copy that the editor shows.
        canvas_size: height and width of that.
    """

    path: Path
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


def copy_of(encoded: bytes, limits: Limits, side: int) -> Copy:
    """A copy for the browser.

    Args:
        encoded: any picture that Concord takes.
        limits: the largest picture accepted.
        side: the copy's longest side in pixels, at most.

    Raises:
        ConcordError: as :func:`concord.images.decode_image`.
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
