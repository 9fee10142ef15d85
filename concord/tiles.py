"""A map in windows that overlap by half, and the one map that is made of their answers again.

This is the patch mode of latent diffusion (Rombach et al. 2022, its published code): the answers are blended by the
distance to the border of their window.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np

from concord.arrays import Floats

_LEAST, _MOST = 0.01, 0.5  # of a weight, as published


@dataclass(frozen=True)
class Tiles:
    """Windows of one size that cover a map.

    Where a side of the map is whole halves of a window the windows lie as published, half a window apart; else they are
    a little closer, so that the last one ends with the map.

    Attributes:
        height, width: of a window.
        tops, lefts: where the rows and the columns of windows begin.
    """

    height: int
    width: int
    tops: tuple[int, ...]
    lefts: tuple[int, ...]

    @classmethod
    def over(cls, height: int, width: int, most: int) -> Self:
        """The windows of a map of this size; they have sides of ``most``, or the map's where that is smaller."""
        return cls(min(height, most), min(width, most), _beginnings(height, most), _beginnings(width, most))

    def __len__(self) -> int:
        return len(self.tops) * len(self.lefts)

    @property
    def shape(self) -> tuple[int, int]:
        """Height and width of the map."""
        return self.tops[-1] + self.height, self.lefts[-1] + self.width

    def row(self, number: int, value: Floats) -> list[Floats]:
        """The windows of one row, from the left, of a map [C, H, W]."""
        rows = slice(self.tops[number], self.tops[number] + self.height)
        return [value[:, rows, left : left + self.width] for left in self.lefts]

    def windows(self, value: Floats) -> list[Floats]:
        """All of them, row by row."""
        return [window for number in range(len(self.tops)) for window in self.row(number, value)]

    def blended(self, answers: Sequence[Floats]) -> Floats:
        """The map of the answers to all windows, row by row, fp32 [C, h, w] each."""
        blend, columns = Blend(self), len(self.lefts)
        rows = [blend.rows(n, answers[n * columns : (n + 1) * columns]) for n in range(len(self.tops))]
        return np.concatenate(rows, axis=1)


class Blend:
    """The answers to windows as one map, from its top down; no more than one row of windows is held.

    Each pixel is the mean of what the windows say in which it lies, weighted by how far inside of them.

    Args:
        stride: how many times as high and wide an answer is as its window.
    """

    def __init__(self, tiles: Tiles, stride: int = 1) -> None:
        self._tiles, self._stride = tiles, stride
        self._share = _weights(tiles.height * stride, tiles.width * stride)
        # Of the rows that are not done: the weighted answers, and behind them the weights.
        self._sums: Floats | None = None

    def rows(self, number: int, answers: Sequence[Floats]) -> Floats:
        """The rows of the map that are done with a row of windows, which follows the one that was asked for before.

        Args:
            answers: fp32 [C, h, w] for each window of the row, from the left.

        Returns:
            fp32 [C, n, W].
        """
        tiles, stride = self._tiles, self._stride
        height, width = self._share.shape
        if self._sums is None:
            self._sums = np.zeros((len(answers[0]) + 1, height, tiles.shape[1] * stride), np.float32)
        for left, answer in zip(tiles.lefts, answers, strict=True):
            part = self._sums[..., left * stride : left * stride + width]
            part[:-1] += self._share * answer
            part[-1] += self._share
        following = tiles.tops[number + 1 :]
        done = (following[0] - tiles.tops[number]) * stride if following else height
        finished = self._sums[:-1, :done] / self._sums[-1, :done]
        self._sums = np.concatenate((self._sums[:, done:], np.zeros_like(self._sums[:, :done])), axis=1)
        return finished


def _beginnings(length: int, most: int) -> tuple[int, ...]:
    if length <= most:
        return (0,)
    gaps = -(-(length - most) // (most // 2))
    return tuple(round(number * (length - most) / gaps) for number in range(gaps + 1))


def _weights(height: int, width: int) -> Floats:
    """Of a window's pixels, fp32 [h, w]: the distance to the nearest border, in sides of the window."""
    down, across = (np.minimum(place, 1 - place) for place in (np.linspace(0, 1, height), np.linspace(0, 1, width)))
    return np.clip(np.minimum(down[:, np.newaxis], across), _LEAST, _MOST).astype(np.float32)
