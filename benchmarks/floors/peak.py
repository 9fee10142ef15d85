"""The most that this machine does, with all usable threads: the bytes of a copy in a second."""

import time
from collections.abc import Callable

import torch

from concord.instruments.timing import THREADS

BLOCK = 1 << 29  # bytes, more than caches hold
ROUNDS = 5


def copy_gigabytes_per_second() -> float:
    """Of a copy in memory; bytes that are read and bytes that are written both count."""
    torch.set_num_threads(THREADS)
    source = torch.ones(BLOCK, dtype=torch.uint8)
    target = torch.empty_like(source)
    return 2 * BLOCK / least_seconds(lambda: target.copy_(source)) / 1e9


def least_seconds(call: Callable[[], object]) -> float:
    """The shortest of `ROUNDS` calls, after one that does not count."""
    call()
    spent = []
    for _ in range(ROUNDS):
        began = time.perf_counter()
        call()
        spent.append(time.perf_counter() - began)
    return min(spent)
