"""Drills: each process of the service is killed while clients ask; what they lost, and how long they waited."""

import asyncio
import subprocess
import sys
import time
from collections.abc import Collection, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from tempfile import TemporaryDirectory

import httpx
import psutil

from benchmarks.load import generator as load
from benchmarks.load.generator import GOOD, Generator, Replies, Target, generator
from concord.instruments.markdown import table
from concord.instruments.memory import MIB, resident
from concord.server.declared import catalogue
from concord.server.embedded import HOST, Ports
from concord.server.installation import MODEL_REPOSITORIES
from concord.server.leftovers import SHARED_MEMORY
from concord.server.processes import model_of
from concord_client.catalogue import Catalogue, Pipeline
from concord_client.tasks import TASKS
from facade.work.requests import smallest

CLIENTS = 6
BEFORE_SECONDS, AFTER_SECONDS = 4.0, 14.0
START_SECONDS = 120.0
NOTHING, TRITON, FACADE, KEEPER, EVERYTHING = "nothing", "tritonserver", "the facade", "the keeper", "everything"
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
class Drill:
    """One kill, with what was asked by pipeline; `hit` are those that need what was killed.

    Memory is that of all processes, in MiB, and of all that is in shared memory, before and after.
    """

    killed: str
    kinds: dict[str, Kind]
    hit: list[str]
    memory_mib: list[float]
    shared_mib: list[float]


@dataclass(frozen=True)
class Numbers:
    """`before` and `after` are the seconds for which the clients ask in each drill."""

    clients: int
    before: float
    after: float
    drills: list[Drill]


class Service:
    """`concord serve` with the demo weights on ports of its own, without the page."""

    def __init__(self, folder: Path) -> None:
        ports = Ports(grpc=0, metrics=0).chosen()
        self.port = Ports(grpc=0, metrics=0).chosen().grpc
        flags = {"--port": self.port, "--grpc-port": ports.grpc, "--metrics-port": ports.metrics}
        words = [word for name, port in flags.items() for word in (name, str(port))]
        self._command = [sys.executable, "-m", "facade.serve", "--no-page", "--log-file", f"{folder}/log", *words]

    def start(self) -> None:
        self.process = psutil.Popen(self._command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)

    def wait_ready(self) -> None:
        """Raises RuntimeError if it is not, for long."""
        end = time.monotonic() + START_SECONDS
        while time.monotonic() < end:
            with suppress(httpx.TransportError):
                if httpx.get(f"http://{HOST}:{self.port}/readyz", timeout=START_SECONDS).is_success:
                    return
            time.sleep(0.1)
        raise RuntimeError(f"the service was not ready within {START_SECONDS:g} s")

    def processes(self) -> list[psutil.Process]:
        with suppress(psutil.NoSuchProcess):
            # Triton leaves zombies of stubs that were killed.
            found = [self.process, *self.process.children(recursive=True)]
            return [each for each in found if each.status() != psutil.STATUS_ZOMBIE]
        return []

    def victims(self) -> dict[str, list[psutil.Process]]:
        """What can be killed, by name."""
        everything = self.processes()
        triton = next(each for each in everything if each.name() == TRITON)
        stubs = {model_of(each.cmdline()): [each] for each in everything if each.ppid() == triton.pid}
        keeper = [each for each in everything if each.pid == triton.ppid()]
        named = {TRITON: [triton], KEEPER: keeper, FACADE: everything[:1], EVERYTHING: everything}
        return {NOTHING: [], **dict(sorted(stubs.items())), **named}

    def request(self, pipeline: Pipeline) -> Target:
        """The one that costs least, so that how long it takes does not hide how long it waited."""
        task = next(each for each in TASKS if pipeline.task == each.TASK)
        request, settings = smallest(task, pipeline)
        given = {field: getattr(request, field.name) for field in request.given()}
        files = {field.name: value for field, value in given.items() if field.kind == "image"}
        texts = {field.name: value for field, value in given.items() if field.name not in files}
        data = {"model": pipeline.model, **texts, **settings}
        url = f"http://{HOST}:{self.port}/v1/{pipeline.task}"
        return Target.of(httpx.Request("POST", url, data=data, files=files))

    def stop(self) -> None:
        everything = self.processes()
        if everything:
            self.process.terminate()
        for left in psutil.wait_procs(everything, START_SECONDS)[1]:
            left.kill()


def measure(
    before: float = BEFORE_SECONDS, after: float = AFTER_SECONDS, only: Collection[str] | None = None
) -> Numbers:
    """Kills one process after the other, or those of these names; seconds for which clients ask before and after."""
    with TemporaryDirectory() as folder, serving(Path(folder)) as service, generator() as asking:
        names = [name for name in service.victims() if only is None or name in only]
        return Numbers(CLIENTS, before, after, [drill(service, asking, name, before, after) for name in names])


@contextmanager
def serving(folder: Path) -> Iterator[Service]:
    service = Service(folder)
    service.start()
    try:
        service.wait_ready()
        yield service
    finally:
        service.stop()


def drill(service: Service, asking: Generator, killed: str, before: float, after: float) -> Drill:
    """Lets the clients ask, kills something after a while, and waits until the service is ready again."""
    declared = catalogue(MODEL_REPOSITORIES)
    asked = pipelines(declared)
    targets = {each.name: service.request(each) for each in asked}
    memory, shared = [resident(service.processes()) / MIB], [used()]
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
    shared.append(used())
    kinds = {name: kind(replies[name], before + after) for name in targets}
    hit = [each.name for each in asked if killed in WHOLE | needs(each, declared)]
    return Drill(killed, kinds, hit, memory, shared)


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


def used() -> float:
    """MiB in shared memory."""
    return psutil.disk_usage(str(SHARED_MEMORY)).used / MIB


def section(numbers: Numbers) -> str:
    rows = [row(each) for each in numbers.drills]
    header = ["killed", "lost, others", "lost, its own", "gap s, others", "gap s, its own", "MiB", "MiB shared"]
    failures = [
        f"- {each.killed}, {name}: {told(kind.statuses)}: {kind.words[:200]}"
        for each in numbers.drills
        for name, kind in each.kinds.items()
        if kind.failed
    ]
    return "\n\n".join(
        (
            "## Drills",
            f"Demo weights; {numbers.clients} clients, as many for each public model, ask the least over HTTP for "
            f"{numbers.before + numbers.after:g} s. After {numbers.before:g} s a process is killed with SIGKILL; the "
            "drill then starts the facade again, and the facade all else. *Its own* are the pipelines that need what "
            "was killed. A gap is the longest time between good answers of one pipeline; memory is before and after.",
            table(header, rows),
            *(["\n".join(failures)] if failures else []),
        )
    )


def row(drill: Drill) -> Sequence[object]:
    others = [kind for name, kind in drill.kinds.items() if name not in drill.hit]
    own = [kind for name, kind in drill.kinds.items() if name in drill.hit]
    lost = [sum(each.failed for each in kinds) if kinds else "-" for kinds in (others, own)]
    gaps = [max(each.longest_gap for each in kinds) if kinds else "-" for kinds in (others, own)]
    return [drill.killed, *lost, *gaps, span(drill.memory_mib), span(drill.shared_mib)]


def span(values: Sequence[float]) -> str:
    return " to ".join(f"{value:.0f}" for value in values)


def told(statuses: Mapping[str, int]) -> str:
    return ", ".join(f"{count} x {status}" for status, count in statuses.items())
