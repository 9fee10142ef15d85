"""The size at which pictures are scored, as published, and how well a segmenter finds a part by its words."""

from io import BytesIO

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from concord.masks import THRESHOLD, intersection_over_union

SIZE = 256


def resized(picture: NDArray[np.uint8], method: Image.Resampling = Image.Resampling.BICUBIC) -> NDArray[np.uint8]:
    """At `SIZE` x `SIZE`."""
    return np.asarray(Image.fromarray(picture).resize((SIZE, SIZE), method))


def iou(found: bytes, truth: NDArray[np.uint8]) -> float:
    """Intersection over union, 0..1, of an answered mask, a grey PNG of any size, and a true one of `SIZE` x `SIZE`."""
    mask = np.asarray(Image.open(BytesIO(found)).convert("L"))
    return intersection_over_union(resized(mask, Image.Resampling.NEAREST) >= THRESHOLD, truth)
