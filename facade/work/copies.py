"""The smaller copies of photographs that a browser shows."""

import io
from dataclasses import dataclass

import cv2
import numpy as np
from PIL import Image

from concord.images import decode_image
from concord.limits import Limits

_QUALITY = 92


@dataclass(frozen=True)
class Copy:
    """A JPEG that every browser shows: upright, transparency over white, never larger than its original.

    Its size, and that of the original upright, are height and width in pixels.
    """

    jpeg: bytes
    size: tuple[int, int]
    original: tuple[int, int]


def copy_of(encoded: bytes, limits: Limits, side: int, scale: int = 1) -> Copy:
    """A copy for the browser of any picture that Concord takes, its longest side in pixels at most `side`.

    Args:
        scale: how many times as large it is, within that.

    Raises:
        ConcordError: as `concord.images.decode_image`.
    """
    decoded = decode_image(encoded, limits)
    pixels, original = decoded.pixels, decoded.pixels.shape[:2]
    factor = min(scale, side / max(original))
    if factor != 1:
        height, width = (max(1, round(length * factor)) for length in original)
        how = cv2.INTER_AREA if factor < 1 else cv2.INTER_CUBIC
        pixels = np.asarray(cv2.resize(pixels, (width, height), interpolation=how), np.uint8)
    picture = Image.fromarray(pixels)
    if picture.mode == "RGBA":
        picture = Image.alpha_composite(Image.new("RGBA", picture.size, "white"), picture).convert("RGB")
    file = io.BytesIO()
    picture.save(file, "JPEG", quality=_QUALITY, subsampling=0, icc_profile=decoded.icc_profile or None)
    return Copy(file.getvalue(), (picture.height, picture.width), (original[0], original[1]))
