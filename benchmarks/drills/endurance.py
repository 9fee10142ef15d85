"""Many small requests, and whether anything grows: memory, descriptors, threads, shared memory."""

from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import psutil

from benchmarks.drills.service import shared_mib
from benchmarks.load.facade import Facade, serving
from benchmarks.load.generator import Generator, closed_loop, generator
from benchmarks.load.identity_model import write_instant
from concord.instruments.memory import MIB, resident
from concord.scenes.encoded import scene_jpeg, scene_mask
from concord.server.embedded import EmbeddedServer, Ports

REQUESTS, FIRST = 100_000, 1_000
SIDE = 32
CLIENTS = 4
SLICE_SECONDS = 1.0


@dataclass(frozen=True)
class Footprint:
    """What all processes of facade and Triton hold together after so many requests; memory in MiB."""

    requests: int
    memory: float
    descriptors: int
    threads: int
    shared_memory: float


def measure(requests: int = REQUESTS, first: int = FIRST) -> list[Footprint]:
    """After the first requests, and after all; with a network that answers at once.

    Raises:
        RuntimeError: a request was not answered with 200.
    """
    with TemporaryDirectory() as folder, generator() as asking:
        write_instant(Path(folder))
        with EmbeddedServer([Path(folder)], ports=Ports(0, 0, 0)) as server, serving(server) as facade:
            found, done = [], 0
            for until in (first, requests):
                done += ask(facade, asking, until - done)
                found.append(footprint(done, [*facade.processes(), *server.processes()]))
            return found


def ask(facade: Facade, asking: Generator, number: int) -> int:
    """At least so many requests; how many it were."""
    target = facade.target({"image": scene_jpeg(SIDE, SIDE), "mask": scene_mask(SIDE, SIDE)})
    done = 0
    while done < number:
        replies = asking.run(closed_loop, target, CLIENTS, SLICE_SECONDS)
        if refused := [reply for reply in replies if not reply.good]:
            raise RuntimeError(
                f"{len(refused)} of {len(replies)} requests failed: {refused[0].status} {refused[0].words}"
            )
        done += len(replies)
    return done


def footprint(done: int, processes: list[psutil.Process]) -> Footprint:
    return Footprint(
        done,
        resident(processes) / MIB,
        sum(each.num_fds() for each in processes),
        sum(each.num_threads() for each in processes),
        shared_mib(),
    )
