"""Measurements at points of an axis: time, its parts, and memory."""

import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

import psutil

from benchmarks.curves.linearity import WAITING
from benchmarks.load.measure import settled_statistics
from concord.instruments.memory import MIB, Peak, resident
from concord.instruments.stages import Statistics, read_statistics, stages

Place = TypeVar("Place", int, float)


@dataclass(frozen=True)
class Point:
    """The measurements at a point of the axis: milliseconds of each call, and the mean of each part of one.

    `extra_mib` is the largest memory above that before the very first call.
    """

    at: float
    milliseconds: list[float]
    parts: dict[str, float]
    extra_mib: float


@dataclass(frozen=True)
class Points:
    """Ascending places."""

    points: Sequence[Point]


def measure_points(
    url: str, processes: list[psutil.Process], calls: Mapping[Place, Callable[[], object]], rounds: int
) -> Points:
    """Times alternating calls; see `observed`."""

    def timed(at: Place) -> list[float]:
        began = time.perf_counter()
        calls[at]()
        return [(time.perf_counter() - began) * 1000]

    return Points(observed(url, processes, calls, timed, rounds))


def observed(
    url: str,
    processes: list[psutil.Process],
    first: Mapping[Place, Callable[[], object]],
    block: Callable[[Place], list[float]],
    rounds: int,
) -> list[Point]:
    """Alternating blocks of calls, which give their milliseconds; every other round runs backwards.

    In a round before them, of the calls `first`, the processes' memory is sampled.
    """
    memory = {}
    before = resident(processes)
    for at, call in first.items():
        with Peak(processes) as peak:
            call()
        memory[at] = (peak.bytes - before) / MIB
    times: dict[Place, list[float]] = {at: [] for at in first}
    spent = {at: Counter[str]() for at in first}
    for number in range(rounds):
        for at in first if number % 2 == 0 else reversed(list(first)):
            earlier = read_statistics(url)
            times[at] += block(at)
            spent[at].update(parts(earlier, settled_statistics(lambda: read_statistics(url))))
    means = {at: {name: value / len(times[at]) for name, value in spent[at].items()} for at in first}
    return [Point(at, times[at], means[at], memory[at]) for at in first]


def parts(before: Statistics, after: Statistics) -> dict[str, float]:
    """Milliseconds that all requests spent in each model and in its queue, between two readings."""
    spent = {}
    for name, stage in stages(before, after).items():
        spent[name] = stage.requests * (stage.milliseconds - stage.queue)
        spent[WAITING + name] = stage.requests * stage.queue
    return spent
