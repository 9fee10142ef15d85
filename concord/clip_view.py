"""CLIP's view of an image: 224 x 224.

As OpenAI's own transform for PIL images, it is the square in the middle: the shorter side is resized to 224, cubic and
antialiased, and the centre is cut out. Mean and standard deviation are applied in the networks.
"""

import cv2
import numpy as np
from PIL import Image

from concord.arrays import Floats, Pixels

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


def edited_view(picture: Floats, part: Pixels) -> Floats:
    """What an edit is ranked by, fp32 [3, 224, 224]: the edited part, and black around it, squashed.

    As published with Blended Diffusion (Avrahami et al., CVPR 2022): linear without antialiasing, and without CLIP's
    mean and standard deviation.

    Args:
        picture: fp32 [3, h, w] in 0..1.
        part: uint8 [h, w] of 0 and 1.
    """
    shown = np.moveaxis(picture * part, 0, 2)
    view = cv2.resize(np.ascontiguousarray(shown), (VIEW_SIZE, VIEW_SIZE), interpolation=cv2.INTER_LINEAR)
    return np.ascontiguousarray(np.moveaxis(view, 2, 0), np.float32)
