"""Milliseconds of calls, taken in turns so that a busy machine is busy for all of them."""

import time
from collections.abc import Callable, Mapping

import numpy as np

Calls = Mapping[str, Callable[[], object]]


def in_turns(calls: Calls, rounds: int, warm: int = 1) -> dict[str, list[float]]:
    """Time every call once a round, after `warm` rounds that do not count: milliseconds by name."""
    times: dict[str, list[float]] = {name: [] for name in calls}
    for number in range(warm + rounds):
        for name, call in calls.items():
            began = time.perf_counter()
            call()
            if number >= warm:
                times[name].append((time.perf_counter() - began) * 1000)
    return times


def percentiles(milliseconds: list[float]) -> dict[str, float]:
    """p50, p90 and p99 of one call's times."""
    return {f"p{q}": float(np.percentile(milliseconds, q)) for q in (50, 90, 99)}
