"""What the page knows of one browser tab: its photograph, what is marked in it and how, and what came of it.

Masks are of the editor's canvas, which may be smaller than the photograph, or of the photograph's size.
"""

import os
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal, Self, TypeAlias

import numpy as np

from concord.limits import Limits
from concord.masks import decode_mask, encode_mask
from facade.page.marks import Mask, painted, resized

CANVAS_SIDE = 1280
"""Longest side of the editor's canvas: at three device pixels to one, a phone's graphics take no more."""

SHOWN_SIDE = 2048
"""Longest side of the pictures that are compared."""

Way: TypeAlias = Literal["point", "brush"]
"""How a person marks in the photograph."""


class Forgotten(Exception):
    """A file of the tab was deleted after a while, or by a restart."""


@dataclass(frozen=True)
class Photograph:
    """A dropped file of `length` bytes, unchanged, and its copy for the editor; heights and widths are upright."""

    path: Path
    length: int
    size: tuple[int, int]
    canvas: Path
    canvas_size: tuple[int, int]

    def encoded(self) -> bytes:
        """The file's bytes; it counts as used now.

        Raises:
            Forgotten: it was swept away.
        """
        return read_again(self.path, self.canvas)


@dataclass(frozen=True)
class Pointed:
    """What was pointed at, and what was found there.

    Attributes:
        points: x, y in pixels of the photograph, and 1 where it belongs or 0 where it does not.
        box: left, top, right and bottom; None without one.
        guesses: masks, grey PNGs of the photograph's size, the best first; empty where nothing was asked.
        scores: how sure each is, 0..1.
        guess: the place of the one that is marked.
    """

    points: tuple[tuple[float, float, int], ...] = ()
    box: tuple[float, float, float, float] | None = None
    guesses: tuple[bytes, ...] = ()
    scores: tuple[float, ...] = ()
    guess: int = 0

    @property
    def next(self) -> Self:
        """The same with the next guess; after the last one the first."""
        return replace(self, guess=(self.guess + 1) % len(self.guesses)) if self.guesses else self


@dataclass(frozen=True)
class Result:
    """One answer at strength 1: its PNG of the photograph's size, a copy to be shown, and the seed if it has one."""

    path: Path
    copy: Path
    seed: int | None


@dataclass(frozen=True)
class TabState:
    """One tab's state.

    Attributes:
        mask: grey PNG of the photograph's size that was last put in the editor or used; None where nothing was marked.
        words: for which the mask was found; empty where it was made by hand.
        way: how it is marked now; what was painted counts with the brush only.
        pointed: what was pointed at.
        compared: whether before and after are shown, in the editor's place.
        before: a copy of the photograph to be compared with; None before anything was harmonized.
        results: of the last request.
        chosen: the place of the one that is kept.
    """

    photograph: Photograph
    mask: bytes | None = None
    words: str = ""
    way: Way = "brush"
    pointed: Pointed = Pointed()
    compared: bool = False
    before: Path | None = None
    results: tuple[Result, ...] = ()
    chosen: int = 0

    def marked_by(self, mask: bytes | None, words: str = "", pointed: Pointed | None = None) -> Self:
        """The tab with this mask in place of what was marked."""
        return replace(self, mask=mask, words=words, pointed=pointed or Pointed(), compared=False)

    def canvas_mask(self) -> Mask:
        """The mask on the editor's canvas."""
        if self.mask is None:
            return np.zeros(self.photograph.canvas_size, np.uint8)
        height, width = self.photograph.size
        mask = decode_mask(self.mask, height, width, Limits(max_pixels=height * width))
        return resized(mask, self.photograph.canvas_size)

    def centre(self) -> float:
        """How far right the middle of what is marked lies, 0..1."""
        columns = np.flatnonzero(self.canvas_mask().any(axis=0))
        return float(columns.mean() + 0.5) / self.photograph.canvas_size[1] if columns.size else 0.5

    def marked(self, layers: list[Path], words: str) -> bytes | None:
        """What is to be harmonized, a grey PNG of the photograph's size; None where words are to find it.

        What is marked goes before the words that are typed now, unless it was found for others and not changed since.

        Raises:
            Problem: a layer is not the canvas's.
        """
        canvas = self.canvas_mask()
        is_painted = self.way == "brush" and not self.compared
        mask = painted(layers, self.photograph.canvas_size) if is_painted else canvas
        if not mask.any():
            return None
        if not np.array_equal(mask, canvas):
            return encode_mask(resized(mask, self.photograph.size))
        return None if words and self.words and words != self.words else self.mask


def read_again(*paths: Path) -> bytes:
    """The bytes of the first file; all of them count as used now.

    Raises:
        Forgotten: one was swept away.
    """
    try:
        for path in paths:
            os.utime(path)
        return paths[0].read_bytes()
    except OSError as error:
        raise Forgotten from error
