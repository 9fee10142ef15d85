"""Milliseconds of calls, taken in turns so that a busy machine is busy for all of them."""

import math
import os
import time
from collections.abc import Callable, Mapping
from typing import TypeVar

import numpy as np

from concord_client import Progress

Calls = Mapping[str, Callable[[], object]]
POLL = 0.02  # seconds
Value = TypeVar("Value")
THREADS = len(os.sched_getaffinity(0))


def in_turns(calls: Calls, rounds: int, warm: int = 1) -> dict[str, list[float]]:
    """Time every call once a round, after `warm` rounds that do not count: milliseconds by name.

    Every other round goes backwards, so that none always comes after the same other one, whose memory and threads may
    still be on their way out.
    """
    times: dict[str, list[float]] = {name: [] for name in calls}
    order = list(calls.items())
    for number in range(warm + rounds):
        for name, call in order if number % 2 == 0 else reversed(order):
            began = time.perf_counter()
            call()
            if number >= warm:
                times[name].append((time.perf_counter() - began) * 1000)
    return times


def percentiles(milliseconds: list[float]) -> dict[str, float]:
    """p50, p90 and p99 of one call's times."""
    return {f"p{q}": float(np.percentile(milliseconds, q)) for q in (50, 90, 99)}


def settled(read: Callable[[], Value], still: float, longest: float = math.inf) -> Value:
    """What `read` gives when it has given the same for `still` seconds, or at the end of the longest wait."""
    began = time.monotonic()
    value, since = read(), time.monotonic()
    while (now := time.monotonic()) - since < still and now - began < longest:
        time.sleep(POLL)
        if (found := read()) != value:
            value, since = found, time.monotonic()
    return value


class StepTimes:
    """Is told of the steps of diffusions, one diffusion after the other; `milliseconds` of a step, the mean of each.

    Counted from the end of the first step, which waits for the encoder too. News of steps can come late and together
    on a busy machine, so that single ones say little.
    """

    def __init__(self) -> None:
        self.milliseconds: list[float] = []
        self._began = 0.0

    def __call__(self, progress: Progress) -> None:
        now = time.perf_counter()
        if progress.step == 1:
            self._began = now
        elif progress.step == progress.total:
            self.milliseconds.append((now - self._began) * 1000 / (progress.total - 1))
