"""The machine, and times of calls in alternating order, so that load on it affects all of them alike."""

import math
import os
import platform
import time
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

import numpy as np

from concord import processor
from concord_client import Progress

Calls = Mapping[str, Callable[[], object]]
POLL = 0.02  # seconds
Value = TypeVar("Value")
THREADS = len(os.sched_getaffinity(0))


def machine() -> dict[str, Any]:
    """Processor, number of usable threads, and Python's version."""
    return {"processor": processor.name(), "threads": THREADS, "python": platform.python_version()}


def in_turns(calls: Calls, rounds: int, warm: int = 1) -> dict[str, list[float]]:
    """Times every call once per round, after `warm` rounds that do not count; returns milliseconds by name.

    Every other round runs backwards, so that no call always follows the same other one, whose memory and threads may
    still be released then.
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
    """The value of `read` once it has not changed for `still` seconds, or after the longest wait."""
    began = time.monotonic()
    value, since = read(), time.monotonic()
    while (now := time.monotonic()) - since < still and now - began < longest:
        time.sleep(POLL)
        if (found := read()) != value:
            value, since = found, time.monotonic()
    return value


class StepTimes:
    """Measures the steps of diffusions, one diffusion after the other; `milliseconds` has the mean step of each.

    The time counts from the end of the first step, which includes the encoder. On a busy machine, progress messages can
    arrive late and together, so single steps say little.
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
