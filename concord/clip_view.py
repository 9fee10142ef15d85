"""CLIP's view of an image: the square in its middle, 224 x 224.

As OpenAI's own transform for PIL images: the shorter side is resized to 224, cubic and antialiased, and the centre is
cut out. Mean and standard deviation are applied in the networks.
"""

import cv2
import numpy as np
from PIL import Image

from concord.arrays import Pixels

VIEW_SIZE = 224


def clip_view(pixels: Pixels) -> Pixels:
    """CLIP's view of an image, uint8 [H, W, 3] RGB: uint8 [224, 224, 3]."""
    height, width = pixels.shape[:2]
    short = min(height, width)
    size = int(VIEW_SIZE * width / short), int(VIEW_SIZE * height / short)
    resized = Image.fromarray(np.ascontiguousarray(pixels)).resize(size, Image.Resampling.BICUBIC)
    left, top = (round((side - VIEW_SIZE) / 2) for side in size)
    return np.asarray(resized.crop((left, top, left + VIEW_SIZE, top + VIEW_SIZE)))


def foreground_view(pixels: Pixels, mask: Pixels) -> Pixels:
    """CLIP's view of what the smallest box around the foreground holds, uint8 [224, 224, 3].

    Args:
        pixels: uint8 [H, W, 3] RGB.
        mask: uint8 [H, W], foreground where not 0. If it is empty, the view is that of the whole image.
    """
    x, y, width, height = cv2.boundingRect(mask)
    return clip_view(pixels[y : y + height, x : x + width] if width else pixels)
