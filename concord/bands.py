"""Work on bands of a picture's rows, side by side: numpy and the codecs leave the interpreter to others meanwhile."""

import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

T = TypeVar("T")
_THREADS = min(4, len(os.sched_getaffinity(0)))


def side_by_side(work: Callable[[slice], T], first: int, last: int, step: int) -> list[T]:
    """What work makes of the rows from the first up to the last, so many at a time, in their order."""
    bands = [slice(top, min(top + step, last)) for top in range(first, last, step)]
    if min(len(bands), _THREADS) < 2:
        return list(map(work, bands))
    with ThreadPoolExecutor(_THREADS) as threads:
        return list(threads.map(work, bands))
