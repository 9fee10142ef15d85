"""A queue before replicas: when requests that come at given times are answered. Pure; a seed says all."""

import math
import sys
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

Seconds: TypeAlias = NDArray[np.float64]


@dataclass(frozen=True)
class Service:
    """What one replica does with its requests.

    Attributes:
        times: seconds that requests took, as samples, by how many ran at a time: 1 and so on, to as many as may run.
            Requests that run at a time may share the processors, or be merged into a batch: the times say it.
        queue: how many may wait; more are refused.

    Raises:
        ValueError: a number that may run has no times, or a time is not above 0.
    """

    times: Mapping[int, Sequence[float]]
    queue: float = math.inf

    def __post_init__(self) -> None:
        if not self.times or set(self.times) != set(range(1, self.places + 1)):
            raise ValueError(f"times for {sorted(self.times)} at a time; allowed: for 1, 2 and so on, without a gap")
        if not all(len(each) and min(each) > 0 for each in self.times.values()):
            raise ValueError("a time is not above 0, or there are none; allowed: samples in seconds")

    @property
    def places(self) -> int:
        """How many may run at a time."""
        return max(self.times)

    @property
    def per_second(self) -> float:
        """Requests that are answered in a second where all places are always taken."""
        return self.places / float(np.mean(self.times[self.places]))


def simulate(service: Service, due: Sequence[float], replicas: int = 1, seed: int = 0) -> Seconds:
    """Seconds from when each request was due until it was answered; infinite where it was refused.

    A request goes to the replica that has the fewest, and waits there behind those who came before. Each has a luck of
    its own, which says which of the samples is its time, and keeps it when more or fewer run beside it: what is done of
    it grows by a fraction of that time.

    Args:
        due: ascending, in seconds.
        seed: of the luck.
    """
    luck = np.random.default_rng(seed).random(len(due))
    times = {running: np.quantile(samples, luck).tolist() for running, samples in service.times.items()}
    pool = [_Replica(times, service.places) for _ in range(replicas)]
    took = np.full(len(due), math.inf)
    for number, now in enumerate([*due, sys.float_info.max]):
        while (first := min(pool, key=_ends)).ends <= now:
            done = first.finish()
            took[done] = first.now - due[done]
        if number < len(due):
            # Of several the next in turn.
            fewest = min(pool[number % replicas :] + pool[: number % replicas], key=len)
            if len(fewest) < service.places + service.queue:
                fewest.take(number, now)
    return took


class _Replica:
    """Those who run, each with the fraction of its work that is left, and those who wait."""

    def __init__(self, times: Mapping[int, Sequence[float]], places: int) -> None:
        self._times, self._places = times, places
        self._left: dict[int, float] = {}
        self._waiting: deque[int] = deque()
        self._first = -1
        self.now = 0.0
        self.ends = math.inf
        """When the next is done, unless another comes before."""

    def __len__(self) -> int:
        return len(self._left) + len(self._waiting)

    def take(self, number: int, now: float) -> None:
        self._go_on(now)
        self._waiting.append(number)
        self._plan()

    def finish(self) -> int:
        """The request that is done, at the time at which it is."""
        self._go_on(self.ends)
        del self._left[done := self._first]
        self._plan()
        return done

    def _go_on(self, now: float) -> None:
        if self._left:
            times, passed = self._times[len(self._left)], now - self.now
            for number in self._left:
                self._left[number] -= passed / times[number]
        self.now = now

    def _plan(self) -> None:
        while self._waiting and len(self._left) < self._places:
            self._left[self._waiting.popleft()] = 1.0
        self.ends = math.inf
        if self._left:
            times = self._times[len(self._left)]
            left, self._first = min((fraction * times[number], number) for number, fraction in self._left.items())
            self.ends = self.now + max(left, 0.0)


def _ends(replica: _Replica) -> float:
    return replica.ends
