"""Files of a sample, as they are sent and scored."""

from pathlib import Path

import numpy as np
from PIL import Image

from annotation.iharmony4 import Sample
from annotation.scored import resized
from concord.arrays import Pixels
from concord.masks import binary


class LeftOut(Exception):
    """A sample that cannot be scored; the text says why."""


def pixels(path: Path) -> Pixels:
    """A file as uint8 RGB [H, W, 3]; raises UnidentifiedImageError or OSError."""
    return np.asarray(Image.open(path).convert("RGB"))


def foreground(sample: Sample) -> Pixels:
    """The true mask, uint8 [H, W] of 0 and 255.

    Raises:
        LeftOut: it is empty at the size at which it is scored.
        OSError: it is no image.
    """
    mask = binary(np.asarray(Image.open(sample.mask).convert("L")))
    if not resized_mask(mask).any():
        raise LeftOut("the mask is empty")
    return mask


def resized_mask(mask: Pixels) -> Pixels:
    """A mask at the size at which it is scored."""
    return resized(mask, Image.Resampling.NEAREST)
