"""PNG files of pixels, without loss and soon: 12 megapixels in a quarter of the time of zlib's fastest.

One filter, "up", which numpy takes in a few milliseconds, and Intel's igzip (ISA-L) for the deflate (RFC 1951).
"""

import os
import struct
import zlib
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise
from typing import cast

import numpy as np
from isal import isal_zlib

from concord.arrays import Pixels

_SIGNATURE = b"\x89PNG\r\n\x1a\n"
_COLOUR_TYPES = {1: 0, 3: 2, 4: 6}  # by channels
_PROFILE_NAME = b"ICC profile\0\0"
_UP = 2
_LEVEL = 2  # of igzip's 0 to 3: the least that is no slower than 0 on photographs, and a tenth smaller
_RAW = -15
_ZLIB_HEADER = b"\x78\x01"
_BAND_BYTES = 2**22  # libpng refuses larger chunks than 8 MB, where it is not told otherwise
_DAMAGED = cast(type[Exception], isal_zlib.IsalError)  # its package declares an instance of it
_THREADS = min(4, len(os.sched_getaffinity(0)))


def encode_png(pixels: Pixels, icc_profile: bytes = b"") -> bytes:
    """Encodes uint8 pixels, grey [H, W], RGB [H, W, 3] or RGBA [H, W, 4], as PNG.

    The same pixels give the same bytes on the same kind of processor.
    """
    height, width = pixels.shape[:2]
    channels = pixels.shape[2] if pixels.ndim == 3 else 1
    header = struct.pack(">IIBBBBB", width, height, 8, _COLOUR_TYPES[channels], 0, 0, 0)
    chunks = [_SIGNATURE, *_chunk(b"IHDR", [header])]
    if icc_profile:
        chunks += _chunk(b"iCCP", [_PROFILE_NAME, zlib.compress(icc_profile)])
    for piece in _deflated(_filtered(pixels.reshape(height, width * channels))):
        chunks += _chunk(b"IDAT", [piece])
    return b"".join([*chunks, *_chunk(b"IEND", [])])


def decode_png(png: bytes) -> tuple[Pixels, bytes]:
    """Pixels and ICC profile of a file that `encode_png` wrote, in a third of Pillow's time.

    Raises:
        ValueError: it is another's, or damaged.
    """
    kinds: dict[bytes, list[memoryview]] = {}
    place, view = len(_SIGNATURE), memoryview(png)
    try:
        while place < len(png):
            size, kind = struct.unpack_from(">I4s", png, place)
            kinds.setdefault(kind, []).append(view[place + 8 : place + 8 + size])
            place += size + 12
        width, height, _, colour, *_ = struct.unpack(">IIBBBBB", kinds[b"IHDR"][0])
        [channels] = (channels for channels, number in _COLOUR_TYPES.items() if number == colour)
        content = isal_zlib.decompress(b"".join(kinds[b"IDAT"]), bufsize=height * (width * channels + 1))
        rows = np.frombuffer(content, np.uint8).reshape(height, width * channels + 1)
        profile = zlib.decompress(kinds[b"iCCP"][0][len(_PROFILE_NAME) :]) if b"iCCP" in kinds else b""
    except (KeyError, struct.error, _DAMAGED, zlib.error) as error:
        raise ValueError("not a PNG of ours") from error
    if (rows[:, 0] != _UP).any():
        raise ValueError("a PNG with other filters than ours")
    pixels = rows[:, 1:].copy()
    for above, row in pairwise(pixels):
        np.add(above, row, out=row)
    return pixels.reshape((height, width, channels) if channels > 1 else (height, width)), profile


def _chunk(kind: bytes, pieces: Sequence[bytes]) -> list[bytes]:
    checksum = isal_zlib.crc32(kind)
    for piece in pieces:
        checksum = isal_zlib.crc32(piece, checksum)
    return [struct.pack(">I", sum(map(len, pieces))), kind, *pieces, struct.pack(">I", checksum)]


def _filtered(rows: Pixels) -> Pixels:
    """Each row less the one above it, behind the number of that filter."""
    filtered = np.empty((rows.shape[0], rows.shape[1] + 1), np.uint8)
    filtered[:, 0] = _UP
    filtered[0, 1:] = rows[0]
    np.subtract(rows[1:], rows[:-1], out=filtered[1:, 1:])
    return filtered


def _deflated(content: Pixels) -> list[bytes]:
    """A zlib stream (RFC 1950) of an array's bytes, in pieces of at most some megabytes; they are made side by side."""
    flat = content.reshape(-1)
    bands = [flat[first : first + _BAND_BYTES] for first in range(0, flat.size, _BAND_BYTES)]

    def deflate(number: int) -> bytes:
        deflating = isal_zlib.compressobj(_LEVEL, isal_zlib.DEFLATED, _RAW)
        last = number == len(bands) - 1
        return bytes(
            deflating.compress(bands[number]) + deflating.flush(isal_zlib.Z_FINISH if last else isal_zlib.Z_FULL_FLUSH)
        )

    if len(bands) == 1:
        deflated = [deflate(0)]
    else:
        with ThreadPoolExecutor(_THREADS) as threads:
            deflated = list(threads.map(deflate, range(len(bands))))
    deflated[0] = _ZLIB_HEADER + deflated[0]
    deflated[-1] += struct.pack(">I", isal_zlib.adler32(flat))
    return deflated
