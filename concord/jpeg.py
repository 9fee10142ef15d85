"""JPEG files straight to pixels, by libjpeg-turbo: without Pillow's copy, which is a third larger than they are."""

import cv2
import numpy as np
import simplejpeg

from concord.arrays import Pixels


def decode_jpeg(encoded: bytes, height: int, width: int) -> Pixels | None:
    """uint8 [H, W, 3] RGB, the same that Pillow decodes; None where the file is damaged, or of another size.

    What of a damaged file can be seen is for Pillow to say.
    """
    pixels = np.empty((height, width, 3), np.uint8)
    try:
        decoded = simplejpeg.decode_jpeg(encoded, "RGB", buffer=pixels)
    except ValueError:
        return None
    return pixels if decoded.shape == pixels.shape else None


def encode_jpeg(pixels: Pixels) -> bytes:
    """uint8 [H, W, 3] RGB as a small picture to be looked at for a moment."""
    _, encoded = cv2.imencode(".jpg", cv2.cvtColor(pixels, cv2.COLOR_RGB2BGR))
    return encoded.tobytes()
