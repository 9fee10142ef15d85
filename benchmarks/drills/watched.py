"""What everybody else sees of an attack: how long health and another key's requests take, and what the facade holds."""

import asyncio
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from statistics import median

import psutil

from benchmarks.drills.attacks import Answers
from benchmarks.load.generator import Generator, Replies, Target, closed_loop, milliseconds, open_loop, statuses
from concord.instruments.memory import MIB, Peak, resident

HEALTH_RATE = 20.0
"""Questions after health in a second."""


@dataclass(frozen=True)
class Watched:
    """One attack: its answers by status, and what others saw of it.

    Health's slowest answer and the other key's median are in milliseconds, before and amid it. Memory, in MiB before,
    at most and after, and descriptors before and after are those of the facade's first process.
    """

    attack: str
    answers: dict[str, int]
    health_ms: list[float]
    others: dict[str, int]
    others_ms: list[float]
    memory_mib: list[float]
    descriptors: list[int]


async def both(health: Target, other: Target, seconds: float) -> tuple[Replies, Replies]:
    """Asks for health at its rate, and for the other key again and again."""
    return await asyncio.gather(open_loop(health, HEALTH_RATE, seconds), closed_loop(other, 1, seconds))


def watched(
    name: str,
    attack: Callable[[], Answers],
    watching: Generator,
    health: Target,
    other: Target,
    facade: Sequence[psutil.Process],
    alone: float,
    amid: float,
) -> Watched:
    """Runs an attack beside the others' requests; `alone` and `amid` are the seconds for which they are watched.

    The attack ends by itself; what comes after `amid` is not watched.
    """
    quiet, before = watching.run(both, health, other, alone)
    held, open_before = resident(facade) / MIB, descriptors(facade)
    with Peak(list(facade)) as peak, ThreadPoolExecutor(1) as thread:
        attacking = thread.submit(attack)
        health_replies, replies = watching.run(both, health, other, amid)
        answers = attacking.result()
    return Watched(
        name,
        {str(status): count for status, count in answers.items()},
        [max(milliseconds(each, accepted=True)) for each in (quiet, health_replies)],
        {str(status): count for status, count in statuses(replies).items()},
        [median(milliseconds(each, accepted=True) or [float("nan")]) for each in (before, replies)],
        [held, peak.bytes / MIB, resident(facade) / MIB],
        [open_before, descriptors(facade)],
    )


def descriptors(processes: Sequence[psutil.Process]) -> int:
    """Open files and sockets."""
    return sum(each.num_fds() for each in processes)
