"""Names for the kinds of arrays that are passed around most."""

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]
Pixels = NDArray[np.uint8]


def as_signed(pixels: Pixels) -> Floats:
    """Colours uint8 [H, W, 3 or 4] as fp32 [3, H, W] in -1..1; alpha is not looked at."""
    return np.ascontiguousarray(np.moveaxis(pixels[..., :3], 2, 0), np.float32) / np.float32(127.5) - np.float32(1)


def as_pixels(picture: Floats) -> Pixels:
    """A picture, fp32 [H, W, 3] of 0..1 (clipped), as uint8."""
    return (np.clip(picture, 0, 1) * 255).round().astype(np.uint8)


def sigmoid(logits: Floats) -> Floats:
    """Probabilities from logits of any shape, fp32, in a form that does not overflow."""
    return np.asarray(0.5 + 0.5 * np.tanh(0.5 * logits.astype(np.float32)), np.float32)
