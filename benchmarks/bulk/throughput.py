"""Rows a second of `concord bulk` on two nodes and of a bare loop, with one server for both; and its memory."""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from statistics import median

import psutil

from benchmarks.bulk.drill import start
from benchmarks.bulk.loop import bare
from benchmarks.bulk.nodes import Nodes
from benchmarks.bulk.recorder import numbered
from concord.bulk.order import PICTURES
from concord.scenes.encoded import scene_jpeg, scene_mask
from concord.server.embedded import EmbeddedServer

SIDE = 256
_POLL_SECONDS = 5.0
"""To look at all processes takes a part of the processors that are measured."""
_WARM = 0.2
"""Share of the pictures that are left out at the beginning: the window grows meanwhile."""


@dataclass(frozen=True)
class Throughput:
    """Both do the same rows with the same server, in turns.

    Attributes:
        per_second: pictures a second, from a fifth of them to the last, of each turn.
        ratio: of the medians, bulk to the loop.
        wall_seconds: medians of the whole, with starts and ends.
        early_mib, late_mib: median memory (RSS) of all processes of the nodes and of the program, in the second and in
            the last quarter of the pictures.
    """

    rows: int
    per_second: dict[str, list[float]]
    ratio: float
    wall_seconds: dict[str, float]
    early_mib: float
    late_mib: float


def throughput(nodes: Nodes, server: EmbeddedServer, model: str, folder: Path, rows: int, turns: int) -> Throughput:
    """Measures both in turns, with a model of the server."""
    image, mask = scene_jpeg(SIDE, SIDE), scene_mask(SIDE, SIDE)
    photos, masks = folder / "photos", folder / "masks"
    photos.mkdir()
    masks.mkdir()
    for number, content in numbered(range(rows), image).items():
        (photos / f"{number}.jpg").write_bytes(content)
        (masks / f"{number}.png").write_bytes(mask)
    rates: dict[str, list[float]] = {"bare loop": [], "bulk": []}
    walls: dict[str, list[float]] = {name: [] for name in rates}
    memory: list[tuple[float, int]] = []

    def loop(output: Path) -> Path:
        bare(server.grpc_url, sorted(photos.iterdir()), masks, output, model)
        return output

    def bulk(output: Path) -> Path:
        arguments = [photos, output, "--masks", masks, "--model", model, "--url", server.grpc_url]
        with start(nodes, arguments) as process, sampled(nodes, process.pid, memory):
            words = process.communicate()[1]
        if process.returncode:
            raise RuntimeError(words)
        return output / PICTURES

    bare(server.grpc_url, sorted(photos.iterdir())[: rows // 10], masks, folder / "warm", model)
    ways: dict[str, Callable[[Path], Path]] = {"bare loop": loop, "bulk": bulk}
    for turn in range(turns):
        for name, way in ways.items():
            began = time.monotonic()
            written = sorted(each.stat().st_mtime for each in way(folder / f"{name}-{turn}").iterdir())
            walls[name].append(time.monotonic() - began)
            first = round(len(written) * _WARM)
            rates[name].append((len(written) - 1 - first) / (written[-1] - written[first]))
    last = written
    early, late = (
        median([used for when, used in memory if last[int(start * rows)] <= when <= last[int(end * rows) - 1]] or [0])
        for start, end in ((0.25, 0.5), (0.75, 1.0))
    )
    return Throughput(
        rows,
        rates,
        median(rates["bulk"]) / median(rates["bare loop"]),
        {name: median(each) for name, each in walls.items()},
        early / 2**20,
        late / 2**20,
    )


@contextmanager
def sampled(nodes: Nodes, program: int, samples: list[tuple[float, int]]) -> Iterator[None]:
    """Appends the time and the memory of all processes, again and again, while the block runs."""
    over = threading.Event()

    def sample() -> None:
        while not over.wait(_POLL_SECONDS):
            used = 0
            for process in (*nodes.processes(), psutil.Process(program)):
                with suppress(psutil.NoSuchProcess):
                    used += process.memory_info().rss
            samples.append((time.time(), used))

    with suppress(psutil.NoSuchProcess):
        thread = threading.Thread(target=sample, daemon=True)
        thread.start()
        try:
            yield
        finally:
            over.set()
            thread.join()
