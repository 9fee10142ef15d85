"""The harmonization transformers' view of an image: 256 x 256, aspect not kept, as torchvision resizes a PIL image."""

import numpy as np
from numpy.typing import NDArray
from PIL import Image

SMALL_SIZE = 256


def squash_image(pixels: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Squashes uint8 [H, W, 3 or 4] RGB(A) to uint8 [256, 256, 3] RGB: bilinear, antialiased; alpha is ignored."""
    image = Image.fromarray(np.ascontiguousarray(pixels[..., :3]))
    return np.asarray(image.resize((SMALL_SIZE, SMALL_SIZE), Image.Resampling.BILINEAR))


def squash_mask(mask: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Squashes a mask, uint8 [H, W] of 0 and 255, to uint8 [256, 256] of 0 and 1, by nearest pixel.

    A foreground that falls between the sampled pixels altogether marks the small pixels it lies in: the networks
    could not harmonize what they are not told about.
    """
    small = np.asarray(Image.fromarray(mask).resize((SMALL_SIZE, SMALL_SIZE), Image.Resampling.NEAREST)) >= 128
    if not small.any():
        rows, columns = np.nonzero(mask)
        small = np.zeros((SMALL_SIZE, SMALL_SIZE), bool)
        small[rows * SMALL_SIZE // mask.shape[0], columns * SMALL_SIZE // mask.shape[1]] = True
    return small.astype(np.uint8)
