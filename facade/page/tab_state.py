"""What the page knows of one browser tab: its photograph, and what was last marked in it."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from concord.limits import Limits
from concord.masks import decode_mask, encode_mask
from facade.page.masks import Mask, painted, resized
from facade.page.photograph import Photograph


@dataclass(frozen=True)
class TabState:
    """One tab's state.

    Attributes:
        photograph: the one it shows.
        mask: grey PNG of the photograph's size that was last put in the editor or used; None where nothing was marked.
        words: for which the mask was found; empty where it was made by hand.
        compared: whether before and after are shown, in the editor's place.
    """

    photograph: Photograph
    mask: bytes | None = None
    words: str = ""
    compared: bool = False

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

        What is marked goes before words, unless it was found for others and not changed since.

        Args:
            layers: the editor's.
            words: as they are typed now.

        Raises:
            Problem: a layer is not the canvas's.
        """
        canvas = self.canvas_mask()
        mask = canvas if self.compared else painted(layers, self.photograph.canvas_size)
        if not mask.any():
            return None
        if not np.array_equal(mask, canvas):
            return encode_mask(resized(mask, self.photograph.size))
        return None if words and self.words and words != self.words else self.mask
