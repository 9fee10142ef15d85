"""Kills: each process of the service is killed while clients ask; what they lost, and how long they waited."""

import asyncio
import time
from collections.abc import Collection, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from tempfile import TemporaryDirectory

from benchmarks.drills.service import EVERYTHING, FACADE, KEEPER, NOTHING, TRITON, Service, serving, shared_mib
from benchmarks.load import generator as load
from benchmarks.load.generator import GOOD, Generator, Replies, Target, generator
from concord.instruments.memory import MIB, resident
from concord.server.declared import catalogue
from concord.server.installation import MODEL_REPOSITORIES
from concord_client.catalogue import Catalogue, Pipeline

CLIENTS = 6
BEFORE_SECONDS, AFTER_SECONDS = 4.0, 14.0
WHOLE = frozenset({NOTHING, TRITON, FACADE, KEEPER, EVERYTHING})
"""Victims that all pipelines need."""
STARTED_AGAIN = frozenset({FACADE, EVERYTHING})
"""Victims after which the drill starts the service again, as whatever runs it would."""


@dataclass(frozen=True)
class Kind:
    """The answers to one pipeline by status, and the longest time without a good one, in seconds."""

    statuses: dict[str, int]
    longest_gap: float
    words: str

    @property
    def failed(self) -> int:
        return sum(count for status, count in self.statuses.items() if status not in {str(good) for good in GOOD})


@dataclass(frozen=True)
class Kill:
    """One kill, with what was asked by pipeline; `hit` are those that need what was killed.

    Memory is that of all processes, in MiB, and of all that is in shared memory, before and after.
    """

    killed: str
    kinds: dict[str, Kind]
    hit: list[str]
    memory_mib: list[float]
    shared_mib: list[float]


@dataclass(frozen=True)
class Kills:
    """`before` and `after` are the seconds for which the clients ask in each drill."""

    clients: int
    before: float
    after: float
    kills: list[Kill]


def measure(before: float = BEFORE_SECONDS, after: float = AFTER_SECONDS, only: Collection[str] | None = None) -> Kills:
    """Kills one process after the other, or those of these names; seconds for which clients ask before and after."""
    with TemporaryDirectory() as folder, serving(Path(folder)) as service, generator() as asking:
        names = [name for name in service.victims() if only is None or name in only]
        return Kills(CLIENTS, before, after, [drill(service, asking, name, before, after) for name in names])


def drill(service: Service, asking: Generator, killed: str, before: float, after: float) -> Kill:
    """Lets the clients ask, kills something after a while, and waits until the service is ready again."""
    declared = catalogue(MODEL_REPOSITORIES)
    asked = pipelines(declared)
    targets = {each.name: service.request(each) for each in asked}
    memory, shared = [resident(service.processes()) / MIB], [shared_mib()]
    with ThreadPoolExecutor(1) as threads:
        answers = threads.submit(asking.run, mixed, targets, CLIENTS // len(targets), before + after)
        time.sleep(before)
        for victim in service.victims()[killed]:
            victim.kill()
        if killed in STARTED_AGAIN:
            service.process.wait()
            service.start()
        replies = answers.result()
    service.wait_ready()
    memory.append(resident(service.processes()) / MIB)
    shared.append(shared_mib())
    kinds = {name: kind(replies[name], before + after) for name in targets}
    hit = [each.name for each in asked if killed in WHOLE | needs(each, declared)]
    return Kill(killed, kinds, hit, memory, shared)


def pipelines(declared: Catalogue) -> list[Pipeline]:
    """One of each public model: that which asks for least text."""
    named = [(task, model) for task in declared.tasks for model in declared.models(task)]
    found = [declared.of_model(task, model) for task, model in named]
    return [min(each, key=lambda one: ("TEXT" in one.required, not one.streams)) for each in found]


def needs(pipeline: Pipeline, declared: Catalogue) -> set[str]:
    """The pipeline and all models that it cannot do without."""
    below = [each for each in declared.pipelines if each.name in pipeline.models()]
    return {pipeline.name, *pipeline.models()}.union(*(needs(each, declared) for each in below))


async def mixed(targets: Mapping[str, Target], clients: int, seconds: float) -> dict[str, Replies]:
    """As many clients of each target at once."""
    replies = await asyncio.gather(*(load.closed_loop(each, clients, seconds) for each in targets.values()))
    return dict(zip(targets, replies, strict=True))


def kind(replies: Replies, seconds: float) -> Kind:
    good = sorted(reply.due + reply.seconds for reply in replies if reply.good)
    gaps = [after - before for before, after in pairwise([0.0, *good, max([seconds, *good])])]
    words = next((reply.words for reply in replies if not reply.good), "")
    statuses = {str(status): count for status, count in load.statuses(replies).items()}
    return Kind(statuses, max(gaps), words)
