"""The C library's memory, from which numpy, gRPC and the codecs take theirs."""

import ctypes
from contextlib import suppress

_MMAP_THRESHOLD = -3  # M_MMAP_THRESHOLD in malloc.h
_LARGE = 4 * 2**20  # bytes


def give_back_large_blocks() -> None:
    """From now on, what takes the memory of a large picture is given back to the system as soon as it is not needed.

    The C library would come to keep such blocks after the first, and a process grow with every large picture.
    """
    with suppress(OSError, AttributeError):  # of another C library
        ctypes.CDLL(None).mallopt(_MMAP_THRESHOLD, _LARGE)
