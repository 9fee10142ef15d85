"""The photographs of the demonstration: composites that the page offers, and the photographs they were made from."""

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np

from concord.arrays import Pixels
from demo.pictures import decoded
from facade.page.examples import EXAMPLES, Example

FOLDER = Path(__file__).parent

TRAINED_ON = frozenset({"astronaut"})
"""Examples of photographs that the demo weights were trained on; no number of theirs is of something unseen."""


@dataclass(frozen=True)
class Composite:
    """One of the page's examples with a mask; pixels are uint8 [H, W, 3], the mask is [H, W] of 0 and 255."""

    example: Example

    @property
    def name(self) -> str:
        return self.example.name

    @property
    def is_unseen(self) -> bool:
        """Whether no demo network was trained on the photograph."""
        return self.name not in TRAINED_ON

    @property
    def encoded(self) -> bytes:
        return self.example.path.read_bytes()

    @property
    def encoded_mask(self) -> bytes:
        assert self.example.mask is not None
        return self.example.mask.read_bytes()

    @cached_property
    def pixels(self) -> Pixels:
        return np.ascontiguousarray(decoded(self.encoded))

    @cached_property
    def mask(self) -> Pixels:
        return decoded(self.encoded_mask)

    @cached_property
    def truth(self) -> Pixels:
        """The photograph before its part was changed."""
        return decoded(truth_path(self.name).read_bytes())


def truth_path(name: str) -> Path:
    return FOLDER / f"{name}.jpg"


COMPOSITES = tuple(Composite(each) for each in EXAMPLES if each.mask is not None)
