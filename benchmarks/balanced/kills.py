"""Replicas that are killed in turns while clients ask the balancer: what was lost, and how long the clients waited."""

import threading
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from benchmarks.balanced.haproxy import Balancer
from benchmarks.balanced.replicas import Replica
from benchmarks.load.generator import LOST, Destination, Generator, Replies, closed_loop, milliseconds, statuses
from concord.instruments.timing import percentiles

POLL_SECONDS = 0.1


@dataclass(frozen=True)
class Killed:
    """What clients saw of it.

    Attributes:
        kills: when a replica was killed, in seconds from the start; one waits until the other is up again.
        statuses: of the last answer to each request.
        lost: requests that nobody answered.
        again: requests whose replica was killed, or that found none, and that were asked again as the answer said.
        calm_ms, amid_ms: percentiles of the good answers' times, without kills and with them.
    """

    clients: int
    seconds: float
    every: float
    kills: list[float]
    statuses: dict[str, int]
    lost: int
    again: int
    calm_ms: dict[str, float]
    amid_ms: dict[str, float]


def killed(
    asking: Generator,
    balancer: Balancer,
    pool: Sequence[Replica],
    destination: Destination,
    clients: int,
    calm: float,
    seconds: float,
    every: float,
) -> Killed:
    """Kills one replica after the other, each as soon as all are up and so many seconds after the one before.

    Each is started again at once, as whatever runs it would.
    """
    before = asking.run(closed_loop, destination, clients, calm)
    over, times = threading.Event(), list[float]()
    began = time.monotonic()

    def kill_in_turns() -> None:
        number = 0
        while not over.wait(POLL_SECONDS):
            due = every * (number + 1)
            if time.monotonic() - began < due or len(balancer.up()) < len(pool):
                continue
            times.append(time.monotonic() - began)
            pool[number % len(pool)].kill()
            pool[number % len(pool)].start()
            number += 1

    with ThreadPoolExecutor(1) as thread:
        killing = thread.submit(kill_in_turns)
        try:
            replies = asking.run(closed_loop, destination, clients, seconds)
        finally:
            over.set()
        killing.result()
    return Killed(clients, seconds, every, times, *told(replies), _times(before), _times(replies))


def told(replies: Replies) -> tuple[dict[str, int], int, int]:
    """Answers by status, requests that were lost, and requests that were asked again."""
    counted = statuses(replies)
    return (
        {str(status): count for status, count in counted.items()},
        counted.get(LOST, 0),
        sum(reply.again > 0 for reply in replies),
    )


def _times(replies: Replies) -> dict[str, float]:
    return percentiles(milliseconds(replies, accepted=True))
