"""The C library's memory, from which numpy, gRPC and the codecs take theirs."""

import ctypes
from contextlib import suppress

_DISABLE_HUGE_PAGES = 41  # PR_SET_THP_DISABLE in linux/prctl.h
_MMAP_THRESHOLD = -3  # M_MMAP_THRESHOLD in malloc.h
_LARGE = 4 * 2**20  # bytes


def give_back_large_blocks() -> None:
    """From now on, what takes the memory of a large picture is given back to the system as soon as it is not needed.

    The C library would come to keep such blocks after the first, and a process grow with every large picture.
    """
    with suppress(OSError, AttributeError):  # of another C library
        ctypes.CDLL(None).mallopt(_MMAP_THRESHOLD, _LARGE)


def take_small_pages() -> None:
    """From now on, this process takes no memory in huge pages.

    They make a network faster that keeps its memory. Where gigabytes are given back after each run, finding huge pages
    for the next run takes longer than they save.
    """
    with suppress(OSError, AttributeError):  # of another system
        ctypes.CDLL(None).prctl(_DISABLE_HUGE_PAGES, 1, 0, 0, 0)
