"""Pictures of a sample as they are scored, at 256 x 256."""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from annotation.iharmony4 import Sample
from concord.arrays import Pixels
from concord.masks import binary

SIZE = 256


class LeftOut(Exception):
    """A sample that cannot be scored; the text says why."""


def pixels(path: Path) -> Pixels:
    """A file as uint8 RGB [H, W, 3]; raises UnidentifiedImageError or OSError."""
    return np.asarray(Image.open(path).convert("RGB"))


def foreground(sample: Sample) -> Pixels:
    """The true mask, uint8 [H, W] of 0 and 255.

    Raises:
        LeftOut: it is empty at `SIZE`.
        OSError: it is no image.
    """
    mask = binary(np.asarray(Image.open(sample.mask).convert("L")))
    if not resized_mask(mask).any():
        raise LeftOut("the mask is empty")
    return mask


def resized(picture: Pixels) -> Pixels:
    """RGB at `SIZE` x `SIZE`."""
    return np.asarray(Image.fromarray(picture).resize((SIZE, SIZE), Image.Resampling.BICUBIC))


def resized_mask(mask: NDArray[np.uint8]) -> Pixels:
    """A mask at `SIZE` x `SIZE`."""
    return np.asarray(Image.fromarray(mask).resize((SIZE, SIZE), Image.Resampling.NEAREST))
