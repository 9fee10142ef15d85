"""The C library's memory, from which numpy and the codecs take theirs."""

import ctypes

_MMAP_THRESHOLD = -3  # M_MMAP_THRESHOLD in malloc.h
_PICTURE = 4 * 2**20  # bytes


def give_back_pictures() -> None:
    """From now on, what takes a picture's memory is given back to the system as soon as it is not needed."""
    ctypes.CDLL(None).mallopt(_MMAP_THRESHOLD, _PICTURE)
