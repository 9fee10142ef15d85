"""Measurements at points of an axis: time, its parts, and memory."""

import time
from collections import Counter
from collections.abc import Callable, Mapping
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
    """The measurements at a point.

    Attributes:
        at: its position.
        milliseconds: of each call.
        parts: mean milliseconds of each part of a call.
        extra_mib: the largest memory above that before the very first call.
    """

    at: float
    milliseconds: list[float]
    parts: dict[str, float]
    extra_mib: float


@dataclass(frozen=True)
class Points:
    """Ascending places."""

    points: list[Point]


def measure_points(
    url: str, processes: list[psutil.Process], calls: Mapping[Place, Callable[[], object]], rounds: int
) -> Points:
    """Alternating calls, every other round backwards, after a first round in which the processes' memory is sampled."""
    memory = {}
    before = resident(processes)
    for at, call in calls.items():
        with Peak(processes) as peak:
            call()
        memory[at] = (peak.bytes - before) / MIB
    times: dict[Place, list[float]] = {at: [] for at in calls}
    spent = {at: Counter[str]() for at in calls}
    order = list(calls.items())
    for number in range(rounds):
        for at, call in order if number % 2 == 0 else reversed(order):
            earlier = read_statistics(url)
            began = time.perf_counter()
            call()
            times[at].append((time.perf_counter() - began) * 1000)
            spent[at].update(parts(earlier, settled_statistics(lambda: read_statistics(url))))
    return Points(
        [Point(at, times[at], {name: value / rounds for name, value in spent[at].items()}, memory[at]) for at in calls]
    )


def parts(before: Statistics, after: Statistics) -> dict[str, float]:
    """Milliseconds that all requests spent in each model and in its queue, between two readings."""
    spent = {}
    for name, stage in stages(before, after).items():
        spent[name] = stage.requests * (stage.milliseconds - stage.queue)
        spent[WAITING + name] = stage.requests * stage.queue
    return spent
