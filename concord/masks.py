"""Masks: white (255) is the foreground, black (0) the background."""

import cv2
import numpy as np
from PIL import Image

from concord.arrays import Floats, Pixels
from concord.errors import InvalidMask
from concord.images import open_image
from concord.limits import Limits
from concord.png import encode_png

THRESHOLD = 128
PROBABLE = 0.5


def decode_mask(encoded: bytes, height: int, width: int, limits: Limits) -> Pixels:
    """Decodes a mask for an upright image of ``height`` x ``width``.

    Read is the luminance (ITU-R 601-2) of any image that ``decode_image`` accepts, over black where it is transparent;
    from 128 up it is foreground. The mask's own EXIF orientation is applied, as the image's is.

    Returns:
        uint8 [H, W] of 0 and 255.

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
    luminance = np.asarray(image.convert("L"))
    return (luminance >= THRESHOLD).astype(np.uint8) * np.uint8(255)


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
