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
from benchmarks.load.result import LoadResult, summarize
from concord.errors import InvalidSetting
from concord.instruments import started_server as servers
from concord.instruments.memory import MIB, Peak, resident
from concord.instruments.stages import Statistics, stages
from concord.instruments.timing import settled
from concord.server.installation import MODEL_REPOSITORIES
from concord.variants import DEFAULT

STILL_SECONDS = 0.1
SETTLED_SECONDS = 2.0


class OccasionalPeak(Peak):
    """The peak of a server's memory, sampled so rarely that sampling costs the server nothing."""

    interval = 0.5


@dataclass(frozen=True)
class Running:
    """A server that is ready; its processes if it was started here."""

    kserve: KServe
    processes: Sequence[psutil.Process] = ()

    def resolved(self, recipe: Recipe) -> Recipe:
        """The recipe, with the name of the server's default pipeline if it names none; `ConcordError` without one."""
        return recipe if recipe.pipeline else recipe.changed(pipeline=self.kserve.default())

    def destination(self, recipe: Recipe) -> Destination:
        """The recipe's requests to its pipeline; raises `ConcordError` if the server cannot be sent them."""
        pipeline = self.kserve.pipeline(recipe.pipeline)
        inputs = inputs_of(pipeline, recipe.width, recipe.height, recipe.request)
        return self.kserve.destination(pipeline, inputs, recipe.timeout)


@contextmanager
def serving(recipe: Recipe) -> Iterator[Running]:
    """The recipe's server: the one at its URL, or one that is started for it; ConcordError if it is not ready."""
    if recipe.url:
        with kserve_at(recipe.url) as kserve:
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
        with kserve_at(url) as kserve:
            yield Running(kserve, server.processes())


def measure(asking: Generator, server: Running, destination: Destination, load: Load, recipe: Recipe) -> LoadResult:
    """Puts a load on a server for the warm-up and, when all of that is answered, again for the measurement.

    Raises:
        OSError: nothing answers at the destination.
        RuntimeError: an open loop's requests pile up without end.
    """
    if recipe.warm_up:
        load.run(asking, destination, recipe.warm_up)
    read = server.kserve.statistics
    before, spent, began = settled_statistics(read), cpu_seconds(server.processes), time.perf_counter()
    with OccasionalPeak(list(server.processes)) as peak:
        replies = load.run(asking, destination, recipe.seconds)
    spent, took = cpu_seconds(server.processes) - spent, time.perf_counter() - began
    result = summarize(load.name, replies, recipe.seconds, load.closed, recipe.window, recipe.tolerance)
    result = replace(result, stages=stages(before, settled_statistics(read)))
    if not server.processes:
        return result
    memory = resident(server.processes)
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
