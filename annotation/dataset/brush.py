"""Masks as Label Studio's brush has them: the run lengths of rle-pack (thi.ng/umbrella) over RGBA bytes.

The stream has the number of bytes (32 bits), the size of a value less 1 (5), and four sizes of lengths less 1 (4 each).
Then each run has a 1, which of the sizes (2), the length less 1, and the value.
"""

import numpy as np

from concord.arrays import Pixels

_CHANNELS = 4
_VALUE_BITS = 8
_LENGTH_BITS = (3, 4, 8, 16)
_LONGEST = 1 << _LENGTH_BITS[-1]


def run_lengths(mask: Pixels) -> list[int]:
    """The bytes of the stream, 0 to 255, of a mask, uint8 [H, W], row after row."""
    values = mask.ravel()
    starts = np.flatnonzero(np.concatenate(([True], values[1:] != values[:-1])))
    lengths = np.diff(np.append(starts, values.size)) * _CHANNELS
    head = f"{values.size * _CHANNELS:032b}{_VALUE_BITS - 1:05b}" + "".join(f"{bits - 1:04b}" for bits in _LENGTH_BITS)
    runs = (_runs(int(length), int(values[start])) for start, length in zip(starts, lengths, strict=True))
    bits = head + "".join(runs)
    bits += "0" * (-len(bits) % 8)
    return [int(bits[place : place + 8], 2) for place in range(0, len(bits), 8)]


def _runs(length: int, value: int) -> str:
    """The bits of a run, as several where it is longer than the format has."""
    whole, rest = divmod(length, _LONGEST)
    return _run(_LONGEST, value) * whole + (_run(rest, value) if rest else "")


def _run(length: int, value: int) -> str:
    size = next(place for place, bits in enumerate(_LENGTH_BITS) if length <= 1 << bits)
    return f"1{size:02b}{length - 1:0{_LENGTH_BITS[size]}b}{value:0{_VALUE_BITS}b}"
