"""A composite and its mask as they are shown: at a screen's size, with the outline of the part."""

from dataclasses import dataclass
from functools import cached_property
from io import BytesIO
from typing import Any, Self

import cv2
import numpy as np
from PIL import Image

from annotation.iharmony4 import Sample
from concord.arrays import Pixels
from concord.errors import InvalidMask
from concord.images import decode_image
from concord.limits import Limits
from concord.masks import decode_mask

LONGEST = 1024
"""Pixels of the longer side that a browser gets; a larger composite is made smaller."""
_QUALITY = 88
_FINEST = 0.75  # pixels that an outline may be off
_MOST_POINTS = 4000
_AROUND = 0.15  # of a part's size, that a crop has on each side
_LINE = (255, 0, 255)


@dataclass(frozen=True)
class Picture:
    """A composite, uint8 [H, W, 3], and its mask [H, W] of 0 and 255, neither side longer than `LONGEST`."""

    composite: Pixels
    mask: Pixels

    @classmethod
    def read(cls, sample: Sample) -> Self:
        """Reads both files.

        Raises:
            ConcordError: a file is no image that can be used; the sizes differ; the mask is empty.
            OSError: a file cannot be read.
        """
        limits = Limits()
        composite = decode_image(sample.composite.read_bytes(), limits).pixels[..., :3]
        height, width = composite.shape[:2]
        mask = decode_mask(sample.mask.read_bytes(), height, width, limits)
        if not mask.any():
            raise InvalidMask("MASK", "no pixel is white", "a mask with a part")
        scale = LONGEST / max(height, width)
        if scale < 1:
            size = (max(round(width * scale), 1), max(round(height * scale), 1))
            composite = np.asarray(cv2.resize(composite, size, interpolation=cv2.INTER_AREA), np.uint8)
            # A part of few pixels stays.
            mask = np.where(cv2.resize(mask, size, interpolation=cv2.INTER_AREA) > 64, 255, 0).astype(np.uint8)
        return cls(np.ascontiguousarray(composite), mask)

    @property
    def width(self) -> int:
        return int(self.mask.shape[1])

    @property
    def height(self) -> int:
        return int(self.mask.shape[0])

    @cached_property
    def contours(self) -> list[Any]:
        """Closed lines along the part's edges, the longest first, int32 [N, 1, 2] each."""
        found, _ = cv2.findContours(self.mask, cv2.RETR_LIST, cv2.CHAIN_APPROX_NONE)
        lines = [cv2.approxPolyDP(each, _FINEST, True) for each in sorted(found, key=len, reverse=True)]
        sums = np.cumsum([len(each) for each in lines])
        return [line for line, total in zip(lines, sums, strict=True) if total <= _MOST_POINTS] or lines[:1]

    @property
    def path(self) -> str:
        """The same as the ``d`` of an SVG path, in pixels of the picture."""
        return "".join("M" + "L".join(f"{x} {y}" for [[x, y]] in line.tolist()) + "Z" for line in self.contours)

    def jpeg(self) -> bytes:
        """The composite, without anything that its file said besides."""
        return _jpeg(self.composite)

    def marked(self) -> bytes:
        """The composite with a line around the part, as JPEG."""
        drawn = self.composite.copy()
        thickness = max(2, max(self.mask.shape) // 250)
        cv2.drawContours(drawn, self.contours, -1, _LINE, thickness)
        return _jpeg(drawn)

    def crop(self) -> bytes:
        """The part with a little of what is around it, as JPEG."""
        x, y, width, height = cv2.boundingRect(self.mask)
        right, down = (round(_AROUND * side) + 1 for side in (width, height))
        rows = slice(max(y - down, 0), y + height + down)
        return _jpeg(self.composite[rows, max(x - right, 0) : x + width + right])


def _jpeg(pixels: Pixels) -> bytes:
    stream = BytesIO()
    Image.fromarray(pixels).save(stream, "JPEG", quality=_QUALITY)
    return stream.getvalue()
