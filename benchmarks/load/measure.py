"""A server under load: warm-up, measurement, and what its models and processes did meanwhile."""

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import psutil

from benchmarks.load.generator import Destination, Generator
from benchmarks.load.inputs import inputs_of
from benchmarks.load.kserve import KServe, kserve_at
from benchmarks.load.recipe import Load, Recipe
from benchmarks.load.result import TOLERANCE_PERCENT, LoadResult, summarize
from concord.errors import InvalidSetting
from concord.instruments import started_server as servers
from concord.instruments.memory import MIB, Peak, resident
from concord.instruments.stages import Statistics, stages
from concord.instruments.timing import settled
from concord.server.installation import MODEL_REPOSITORIES
from concord.variants import DEFAULT

STILL_SECONDS = 0.1
SETTLED_SECONDS = 2.0


def no_statistics() -> Statistics:
    """The statistics of a server that has none."""
    return {}


@dataclass(frozen=True)
class Subject:
    """A server under load.

    Attributes:
        destination: address and request.
        statistics: reads Triton's statistics, without ensembles.
        processes: the server's, if it was started here.
    """

    destination: Destination
    statistics: Callable[[], Statistics] = no_statistics
    processes: Sequence[psutil.Process] = ()


class OccasionalPeak(Peak):
    """The peak of a server's memory, sampled so rarely that sampling costs the server nothing."""

    interval = 0.5


def measure(
    asking: Generator,
    subject: Subject,
    load: Load,
    seconds: float,
    warm_up: float,
    window: float | None = None,
    tolerance: float = TOLERANCE_PERCENT,
) -> LoadResult:
    """Puts a load on a server for the warm-up and, when all of that is answered, again for the measurement.

    Args:
        seconds: of the measurement; requests that are running at its end are waited for.
        warm_up: seconds before it.
        window: see `summarize`, as for the tolerance.

    Raises:
        OSError: nothing answers at the destination.
        RuntimeError: an open loop's requests pile up without end.
    """
    if warm_up:
        load.run(asking, subject.destination, warm_up)
    before, spent, began = settled_statistics(subject.statistics), cpu_seconds(subject.processes), time.perf_counter()
    with OccasionalPeak(list(subject.processes)) as peak:
        replies = load.run(asking, subject.destination, seconds)
    spent, took = cpu_seconds(subject.processes) - spent, time.perf_counter() - began
    result = summarize(load.name, replies, seconds, load.closed, window, tolerance)
    result = replace(result, stages=stages(before, settled_statistics(subject.statistics)))
    if not subject.processes:
        return result
    memory = resident(subject.processes)
    used = {"mib": memory / MIB, "peak_mib": max(memory, peak.bytes) / MIB}
    return replace(result, server={"cpu_seconds": spent, "seconds": took} | used)


def settled_statistics(read: Callable[[], Statistics]) -> Statistics:
    """Statistics that no longer change: Triton counts a request shortly after it has answered it.

    After `SETTLED_SECONDS` they are returned as they are, because other clients may use the same server.
    """
    return settled(read, STILL_SECONDS, SETTLED_SECONDS)


def cpu_seconds(processes: Sequence[psutil.Process]) -> float:
    """CPU seconds that the processes have used so far."""
    times = [process.cpu_times() for process in processes if process.is_running()]
    return sum(each.user + each.system for each in times)


@dataclass(frozen=True)
class Running:
    """A server that is ready; its processes if it was started here."""

    kserve: KServe
    processes: Sequence[psutil.Process] = ()


@contextmanager
def serving(recipe: Recipe) -> Iterator[Running]:
    """The recipe's server: the one at its URL, or an embedded one that is started for it.

    Raises:
        ConcordError: it is not ready or cannot be started, or the URL is not valid.
    """
    if recipe.url:
        kserve = kserve_at(recipe.url)
        kserve.require_ready()
        yield Running(kserve)
        return
    repositories = [Path(folder) for folder in recipe.repositories] or MODEL_REPOSITORIES
    profiles = {path.stem for folder in repositories for path in folder.glob("*/configs/*.pbtxt")}
    # Triton would silently serve every model's default configuration.
    if recipe.profile and recipe.profile not in profiles:
        raise InvalidSetting("profile", f"no model has {recipe.profile!r}", ", ".join(sorted(profiles)))
    with servers.serving(repositories, recipe.profile or DEFAULT) as server:
        url = server.grpc_url if recipe.protocol == "grpc" else f"http://{server.http_url}"
        yield Running(kserve_at(url), server.processes())


def resolved(recipe: Recipe, server: Running) -> Recipe:
    """The recipe, with the name of the server's default pipeline if it names none.

    Raises:
        ConcordError: there is none.
    """
    return recipe if recipe.pipeline else recipe.changed(pipeline=server.kserve.default())


def subject_of(recipe: Recipe, server: Running) -> Subject:
    """The recipe's pipeline on a server.

    Raises:
        ConcordError: the server has no such pipeline, or it cannot be sent what the recipe says.
    """
    pipeline = server.kserve.pipeline(recipe.pipeline)
    inputs = inputs_of(pipeline, recipe.width, recipe.height, recipe.request)
    destination = server.kserve.destination(pipeline, inputs, recipe.timeout)
    return Subject(destination, server.kserve.statistics, server.processes)
