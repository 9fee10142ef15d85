"""Whether a harmonizer's patches show in its pictures, as a grid over the part that it changed.

A transformer that reads and writes patches may leave their borders in what it changes (Harmony Transformer: 4 x 4
pixels of its input). Such a pattern has a period, so it is measured at that frequency, against those beside it, along
rows and columns.
"""

from collections.abc import Iterable, Iterator

import numpy as np
from numpy.typing import NDArray

from concord.arrays import Pixels
from concord.squash import SMALL_SIZE

PATCH = 4
"""Pixels of a patch, at a network's size."""
_PERIODS = 8  # in a tile
_BESIDE = np.array([-3, -2, 2, 3])  # the window's main lobe reaches one bin


def pattern(composites: Iterable[Pixels], pictures: Iterable[Pixels], masks: Iterable[Pixels]) -> float:
    """The power of the changes at the patches' period over that beside it: about 1 without a pattern.

    Args:
        composites, pictures: before and after, uint8 [S, S, 3], S a multiple of 256; masks: [S, S], not 0 where they
            may differ. Only squares of 32 patches' sides that lie inside a mask count.

    Returns:
        The ratio, of the sums over all squares; 0 if there are none or nothing changed.
    """
    at, beside = 0.0, 0.0
    for composite, picture, mask in zip(composites, pictures, masks, strict=True):
        side = _PERIODS * PATCH * picture.shape[0] // SMALL_SIZE
        change = picture.astype(np.float32) - composite
        for rows, columns in _squares(mask > 0, side):
            power = _power(change[rows, columns])
            at += float(power[_PERIODS])
            beside += float(power[_PERIODS + _BESIDE].mean())
    return at / beside if beside else 0.0


def _squares(inside: NDArray[np.bool_], side: int) -> Iterator[tuple[slice, slice]]:
    """Squares that lie inside, half overlapping."""
    for top in range(0, inside.shape[0] - side + 1, side // 2):
        for left in range(0, inside.shape[1] - side + 1, side // 2):
            square = slice(top, top + side), slice(left, left + side)
            if inside[square].all():
                yield square


def _power(change: NDArray[np.float32]) -> NDArray[np.float64]:
    """The power [side // 2 + 1] of a square's changes by waves along one side, which are equal along the other."""
    window = np.hanning(len(change) + 1)[:-1]
    profiles = (change.mean(0), change.mean(1))
    spectra = [np.fft.rfft((each - each.mean(0)) * window[:, None], axis=0) for each in profiles]
    return np.asarray(sum((np.abs(each) ** 2).sum(1) for each in spectra), np.float64)
