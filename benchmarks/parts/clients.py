"""Cost by clients: text to harmonized photograph, each client with one request at a time."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from statistics import median

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from benchmarks.curves.growth import Growth
from benchmarks.curves.linearity import full
from benchmarks.curves.points import Point, Points, observed
from benchmarks.load.generator import Generator, closed_loop, generator, milliseconds
from benchmarks.load.grpc_target import target_of
from benchmarks.load.result import answers
from benchmarks.subjects import text_guided
from concord.instruments.markdown import significant, table
from concord.instruments.timing import percentiles
from concord.scenes.encoded import scene, scene_jpeg
from concord.server.embedded import EmbeddedServer, Ports

CLIENTS = (1, 2, 4, 8, 16, 32)
GROWTH = Growth(
    "clients",
    "Cost by clients",
    "Demo weights, text to harmonized 512x512 JPEG, each client with one request at a time.",
    "client",
)


@dataclass(frozen=True)
class Block:
    """A part of a closed loop; times in milliseconds."""

    requests_per_second: float
    mean: float
    p50: float
    p90: float
    p99: float


@dataclass(frozen=True)
class Clients(Point):
    """One number of clients; the milliseconds are the blocks' means."""

    blocks: list[Block]

    def median(self, measure: str) -> float:
        return float(median(getattr(block, measure) for block in self.blocks))


@dataclass(frozen=True)
class Numbers(Points):
    """Ascending numbers of clients."""

    points: list[Clients]


def measure(rounds: int = 3, seconds: float = 6) -> Numbers:
    with EmbeddedServer(ports=Ports(0, 0, 0)) as server, generator() as asking:
        return by_clients(server, asking, CLIENTS, rounds, seconds)


def by_clients(
    server: EmbeddedServer, asking: Generator, numbers: Sequence[int], rounds: int, seconds: float
) -> Numbers:
    """Blocks of a closed loop, alternating."""
    values = {"IMAGE": scene_jpeg(512, 512), "TEXT": scene().expression.encode()}
    destination = target_of(server.grpc_url, text_guided().name, values, "HARMONIZED")
    blocks: dict[int, list[Block]] = {number: [] for number in numbers}

    def block(number: int) -> list[float]:
        replies = asking.run(closed_loop, destination, number, seconds)
        rate = answers(replies, 0, seconds, closed=True) / seconds
        taken = milliseconds(replies, accepted=True)
        blocks[number].append(Block(rate, float(np.mean(taken)), **percentiles(taken)))
        return taken

    first = {number: partial(asking.run, closed_loop, destination, number, min(seconds, 2)) for number in numbers}
    points = observed(server.grpc_url, server.processes(), first, block, rounds)
    return Numbers(
        [
            Clients(number, [block.mean for block in blocks[number]], point.parts, point.extra_mib, blocks[number])
            for number, point in zip(numbers, points, strict=True)
        ]
    )


def section(numbers: Numbers) -> str:
    points, rates = numbers.points, [point.median("requests_per_second") for point in numbers.points]
    rows = [
        [f"{point.at:g}", point.median("p50"), point.median("p99"), rate, point.extra_mib]
        for point, rate in zip(points, rates, strict=True)
    ]
    enough = full([int(point.at) for point in points], rates)
    return "\n\n".join(
        (
            GROWTH.head(),
            table(["clients", "ms (p50)", "ms (p99)", "requests/s", "MiB more"], rows),
            f"{GROWTH.sentences(numbers)} {enough} {'client fills' if enough == 1 else 'clients fill'} the server: "
            f"{significant(max(rates))} requests a second are the most, one client gets {significant(rates[0])}.",
        )
    )


def charts(numbers: Numbers) -> Mapping[str, Figure]:
    """Time and memory with their fitted lines, and throughput between them."""

    def throughput(axes: Axes) -> None:
        rates = [each.median("requests_per_second") for each in numbers.points]
        axes.plot([each.at for each in numbers.points], rates, "o-")
        axes.set_ylabel("requests/s")

    return GROWTH.charts(numbers, throughput)
