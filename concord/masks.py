"""Masks: white (255) is the foreground, black (0) the background."""

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from concord.arrays import Floats, Pixels
from concord.errors import InvalidMask
from concord.images import open_image
from concord.limits import Limits
from concord.png import encode_png

THRESHOLD = 128
PROBABLE = 0.5


def decode_mask(encoded: bytes, height: int, width: int, limits: Limits) -> Pixels:
    """Decodes a mask for an upright image of ``height`` x ``width``, as `decode_grey`; from 128 up it is foreground.

    Returns:
        uint8 [H, W] of 0 and 255.

    Raises:
        ConcordError: as `decode_grey`.
    """
    return binary(decode_grey(encoded, height, width, limits))


def decode_grey(encoded: bytes, height: int, width: int, limits: Limits) -> Pixels:
    """Decodes the grey levels of a mask for an upright image of ``height`` x ``width``.

    Read is the luminance (ITU-R 601-2) of any image that ``decode_image`` accepts, over black where it is transparent.
    The mask's own EXIF orientation is applied, as the image's is.

    Returns:
        uint8 [H, W].

    Raises:
        InvalidMask: another size than the image.
        InvalidImage, UnsupportedImage, ImageTooLarge: as ``decode_image``, with the field ``MASK``.
    """
    image = open_image(encoded, limits, "MASK")
    if image.size != (width, height):
        raise InvalidMask(
            "MASK", f"{image.width}x{image.height} pixels", f"the size of the image, {width}x{height} pixels"
        )
    if image.has_transparency_data:
        image = Image.alpha_composite(Image.new("RGBA", image.size, "black"), image.convert("RGBA"))
    return np.asarray(image.convert("L"))


def binary(grey: Pixels) -> Pixels:
    """A mask of 0 and 255 from grey levels [H, W]: foreground from 128 up."""
    return (grey >= THRESHOLD).astype(np.uint8) * np.uint8(255)


def mask_from_probabilities(probabilities: Floats, height: int, width: int) -> tuple[Pixels, float]:
    """The mask of an image from its foreground's probabilities, fp32 [h, w], and its score.

    They are enlarged bilinearly, pixel centres aligned; from 0.5 up it is foreground. The score is their mean there, at
    their own size, and 0 where there is none.

    Returns:
        uint8 [height, width] of 0 and 255, and the score.
    """
    enlarged = cv2.resize(probabilities, (width, height), interpolation=cv2.INTER_LINEAR)
    inside = probabilities[probabilities >= PROBABLE]
    score = float(inside.mean()) if inside.size else 0.0
    return (enlarged >= PROBABLE).astype(np.uint8) * np.uint8(255), score


def pack_mask(mask: Pixels) -> Pixels:
    """A mask, uint8 [H, W] of 0 and 255, as bits, uint8 [H, ceil(W / 8)], for the way between processes."""
    return np.packbits(mask, axis=1)


def unpack_mask(bits: Pixels, width: int) -> Pixels:
    """The mask that was packed."""
    mask = np.unpackbits(bits, axis=1, count=width)
    return np.multiply(mask, 255, out=mask)


def encode_mask(mask: Pixels) -> bytes:
    """Encodes a mask, uint8 [H, W] of 0 and 255, as an 8-bit grey PNG."""
    return encode_png(mask)


def intersection_over_union(mask: Pixels | NDArray[np.bool_], truth: Pixels | NDArray[np.bool_]) -> float:
    """IoU of two masks [H, W], foreground where not 0; 1 if both are empty."""
    union = np.count_nonzero((mask > 0) | (truth > 0))
    return np.count_nonzero((mask > 0) & (truth > 0)) / union if union else 1.0


def surroundings(mask: Pixels, reach: float, margin: float) -> tuple[slice, slice]:
    """Rows and columns around a mask's part: as far as its edge may move, and a margin by the part's size."""
    x, y, width, height = cv2.boundingRect(mask)
    around = int(np.ceil(2.5 * reach + margin * max(width, height)))
    rows = slice(max(y - around, 0), min(y + height + around, mask.shape[0]))
    return rows, slice(max(x - around, 0), min(x + width + around, mask.shape[1]))


def depths(inside: Pixels) -> tuple[Floats, Floats]:
    """Distance in pixels, fp32 [h, w], of the part's pixels to the rest, and of the rest's to the part.

    The picture's own border is no edge.
    """
    both = (np.pad(each, 1, mode="edge") for each in (inside, 1 - inside))
    first, second = (cv2.distanceTransform(each, cv2.DIST_L2, cv2.DIST_MASK_3)[1:-1, 1:-1] for each in both)
    return np.asarray(first, np.float32), np.asarray(second, np.float32)
