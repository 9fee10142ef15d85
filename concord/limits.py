"""How large an image may be, and how much work. All but decoding's own limits are checked before a pixel is decoded."""

import os
from collections.abc import Mapping
from dataclasses import dataclass

from concord.errors import ConcordError

MAX_SIDE = 32_766
"""Longest side in pixels: OpenCV's remap addresses the pixels of its source with 16-bit coordinates."""

HIGHEST_MAX_PIXELS = 178_956_970
"""Highest value of ``max_pixels``: from here on Pillow takes any image for a decompression bomb."""

MAX_COUNTS: Mapping[str, int] = {
    "parts": 1000,  # segments, chunks, tags, comments, and bytes between them
    "bytes of metadata": 8 * 2**20,
    "blocks of data": 300_000,  # 64 MiB of a GIF's
    "numbers in tags": 262_144,
    "segments of Exif or Photoshop": 16,
    "scans": 100,  # of a JPEG, each of which passes over the whole picture
}
"""What an image file may have of each."""

CHEAP_COUNTS: Mapping[str, int] = {"blocks of data": 20_000, "scans": 16}
"""With more of one of these, a file is decoded in a process of its own; encoders seldom write more."""

DECODING_SECONDS = 10
"""Processor time that such a process may use."""

DECODING_PATIENCE = 60.0
"""Seconds that it may take on a busy machine."""

DECODING_BYTES = 2**29
"""Memory that it may use, half of which Python and the codecs take at once."""

DECODING_BYTES_PER_PIXEL = 24
"""The same for each pixel of the largest picture that the limits allow."""

ENCODING_SECONDS = 60
"""Processor time that a process may use which encodes one picture."""

ENCODING_PATIENCE = 180.0
"""Seconds that it may take on a busy machine."""

ENCODING_BYTES = 2**28
"""Memory that it may use."""

ENCODING_BYTES_PER_PIXEL = 56
"""The same for each pixel of the picture; WebP takes most of it."""


@dataclass(frozen=True)
class Limits:
    """What ``decode_image`` accepts: width x height, and the size of the file."""

    max_pixels: int = 40_000_000
    max_bytes: int = 64 * 2**20

    @classmethod
    def from_environment(cls) -> "Limits":
        """Limits from ``CONCORD_MAX_PIXELS`` and ``CONCORD_MAX_BYTES``; what is not set keeps its default.

        Raises:
            ConcordError: a value is not a whole number in its range; the field is the variable's name.
        """
        return cls(
            max_pixels=_whole_number("CONCORD_MAX_PIXELS", cls.max_pixels, HIGHEST_MAX_PIXELS),
            max_bytes=_whole_number("CONCORD_MAX_BYTES", cls.max_bytes, 2**31 - 1),
        )


def _whole_number(variable: str, default: int, highest: int) -> int:
    text = os.environ.get(variable, "").strip()
    if not text:
        return default
    if text.isascii() and text.isdigit() and len(text) < 20 and 1 <= int(text) <= highest:
        return int(text)
    raise ConcordError(variable, f"{text[:40]!r} is not a limit", f"a whole number from 1 to {highest}")
