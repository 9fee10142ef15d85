"""Holes of many forms and sizes, for training and for measures of networks that fill them."""

import numpy as np

from concord import shapes
from concord.arrays import Pixels
from concord.scenes.chance import one_of

_AREA = (0.02, 0.2)
"""The least and largest share of the picture that one hole is drawn to cover."""


def make_hole(rng: np.random.Generator, size: tuple[int, int]) -> Pixels:
    """A hole, uint8 [H, W] of 0 and 255: an uneven ellipse or rectangle, or some strokes of a brush; never empty."""
    height, width = size
    draw = one_of(rng, (_blob, _strokes), (0.7, 0.3))
    return shapes.irregular(draw(rng, height, width), int(rng.integers(2**31)), float(rng.uniform(0.05, 0.3)))


def _blob(rng: np.random.Generator, height: int, width: int) -> Pixels:
    side = (rng.uniform(*_AREA) * height * width) ** 0.5
    aspect = float(np.exp(rng.uniform(-0.6, 0.6)))
    x, y = rng.uniform(0.1, 0.9) * width, rng.uniform(0.1, 0.9) * height
    box = (x - side * aspect / 2, y - side / aspect / 2, x + side * aspect / 2, y + side / aspect / 2)
    return one_of(rng, (shapes.ellipse, shapes.rectangle))(box, height, width)


def _strokes(rng: np.random.Generator, height: int, width: int) -> Pixels:
    mask = np.zeros((height, width), np.uint8)
    for _ in range(int(rng.integers(1, 4))):
        points = rng.uniform((0, 0), (width, height), (int(rng.integers(2, 5)), 2)).tolist()
        mask |= shapes.stroke([(x, y) for x, y in points], rng.uniform(0.02, 0.08) * min(height, width), height, width)
    return mask
