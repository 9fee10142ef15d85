"""Decodes one file in a process of its own."""

import threading

from concord.apart import Apart, Bounds
from concord.limits import DECODING_BYTES, DECODING_BYTES_PER_PIXEL, DECODING_PATIENCE, DECODING_SECONDS, Limits

_AT_A_TIME = 2
_places = threading.BoundedSemaphore(_AT_A_TIME)


def decoded_apart(encoded: bytes, limits: Limits, field: str) -> bytes:
    """The same picture, upright, as a PNG; blocks, while two others are decoded, until it is its turn.

    Raises:
        TooComplex: it takes more time or memory than a process may use.
        ConcordError: as `concord.images.open_image`.
    """
    memory = DECODING_BYTES + DECODING_BYTES_PER_PIXEL * limits.max_pixels
    decode = Apart("concord.decoding_worker", "decode", Bounds(DECODING_SECONDS, DECODING_PATIENCE, memory))
    with _places:
        return decode(encoded, field, field, limits.max_pixels, limits.max_bytes)
