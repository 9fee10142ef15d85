"""The networks' view of an image: a small square, aspect not kept, as torchvision resizes a PIL image."""

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from concord.arrays import Floats, Pixels
from concord.bands import side_by_side

SMALL_SIZE = 256
LATENT_STRIDE = 8
"""Pixels of the square to one of Stable Diffusion's latents."""

_BAND_BYTES = 2**20  # of Pillow's copy, so that it stays in a core's cache


def squash_image(
    pixels: Pixels, size: int = SMALL_SIZE, resampling: Image.Resampling = Image.Resampling.BILINEAR
) -> Pixels:
    """Squashes uint8 [H, W, 3 or 4] RGB(A) to uint8 [size, size, 3] RGB: antialiased; alpha is ignored."""

    def narrowed(band: slice) -> Pixels:
        rows = Image.fromarray(np.ascontiguousarray(pixels[band, :, :3]))
        return np.asarray(rows.resize((size, rows.height), resampling))

    # Pillow squashes the columns first, too, and each row of them by itself.
    narrow = np.concatenate(side_by_side(narrowed, 0, len(pixels), max(_BAND_BYTES // (4 * pixels.shape[1]), 16)))
    return np.asarray(Image.fromarray(narrow).resize((size, size), resampling))


def squash_mask(mask: Pixels, size: int = SMALL_SIZE) -> Pixels:
    """Squashes a mask, uint8 [H, W] of 0 and 255, to uint8 [size, size] of 0 and 1, by nearest pixel.

    A foreground that falls between the sampled pixels altogether marks the small pixels it lies in: the networks
    could not harmonize what they are not told about.
    """
    small = np.asarray(Image.fromarray(mask).resize((size, size), Image.Resampling.NEAREST)) >= 128
    return (small if small.any() else _touched(mask, size)).astype(np.uint8)


def squash_result(result: Floats, size: int) -> Floats:
    """Squashes a network's result, fp32 [3, h, w], to fp32 [3, size, size] as `squash_image` does pixels."""
    channels = (Image.fromarray(channel).resize((size, size), Image.Resampling.BILINEAR) for channel in result)
    return np.stack([np.asarray(channel) for channel in channels])


def latent_mask(small_mask: Pixels) -> Floats:
    """A squashed mask, uint8 [S, S] of 0 and 1, for the latents: fp32 [1, S/8, S/8] of 0 and 1.

    By the first pixel of each cell, which is torch's ``nearest``, as published; a foreground that this loses
    altogether marks the cells it lies in.
    """
    cells = small_mask[::LATENT_STRIDE, ::LATENT_STRIDE] > 0
    return (cells if cells.any() else _touched(small_mask, len(cells))).astype(np.float32)[np.newaxis]


def _touched(mask: Pixels, size: int) -> NDArray[np.bool_]:
    """The cells of a grid of ``size`` x ``size`` that hold foreground."""
    rows, columns = np.nonzero(mask)
    touched = np.zeros((size, size), bool)
    touched[rows * size // mask.shape[0], columns * size // mask.shape[1]] = True
    return touched
