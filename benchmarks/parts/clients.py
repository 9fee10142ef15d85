"""Cost by clients: text to harmonized photograph, each client with one request at a time."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import median

import numpy as np
from matplotlib.figure import Figure

from benchmarks.curves import figure
from benchmarks.curves.growth import Growth
from benchmarks.curves.linearity import describe, full
from benchmarks.curves.points import Point, Points, parts
from benchmarks.load.generator import Generator, closed_loop, generator, milliseconds
from benchmarks.load.grpc_target import target_of
from benchmarks.load.measure import settled_statistics
from benchmarks.load.result import answers
from benchmarks.subjects import text_guided
from concord.instruments.markdown import significant, table
from concord.instruments.memory import MIB, Peak, resident
from concord.instruments.stages import read_statistics
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
        """The median of the blocks'."""
        return float(median(getattr(block, measure) for block in self.blocks))


@dataclass(frozen=True)
class Numbers:
    """Ascending numbers of clients."""

    points: list[Clients]


def measure(rounds: int = 3, seconds: float = 6) -> Numbers:
    with EmbeddedServer(ports=Ports(0, 0, 0)) as server, generator() as asking:
        return by_clients(server, asking, CLIENTS, rounds, seconds)


def by_clients(
    server: EmbeddedServer, asking: Generator, numbers: Sequence[int], rounds: int, seconds: float
) -> Numbers:
    """Blocks of a closed loop, alternating."""
    url = server.grpc_url
    values = {"IMAGE": scene_jpeg(512, 512), "TEXT": scene().expression.encode()}
    destination = target_of(url, text_guided().name, values, "HARMONIZED")
    memory = {}
    before = resident(server.processes())
    for number in numbers:
        with Peak(server.processes()) as peak:
            asking.run(closed_loop, destination, number, min(seconds, 2))
        memory[number] = (peak.bytes - before) / MIB
    blocks: dict[int, list[Block]] = {number: [] for number in numbers}
    spent = {number: Counter[str]() for number in numbers}
    answered = Counter[int]()
    for turn in range(rounds):
        for number in numbers if turn % 2 == 0 else reversed(numbers):
            began = read_statistics(url)
            replies = asking.run(closed_loop, destination, number, seconds)
            spent[number].update(parts(began, settled_statistics(lambda: read_statistics(url))))
            answered[number] += len(replies)
            rate = answers(replies, 0, seconds, closed=True) / seconds
            taken = milliseconds(replies, accepted=True)
            blocks[number].append(Block(rate, float(np.mean(taken)), **percentiles(taken)))
    return Numbers(
        [
            Clients(
                number,
                [block.mean for block in blocks[number]],
                {name: value / answered[number] for name, value in spent[number].items()},
                memory[number],
                blocks[number],
            )
            for number in numbers
        ]
    )


def section(numbers: Numbers) -> str:
    points, rates = numbers.points, [point.median("requests_per_second") for point in numbers.points]
    rows = [
        [f"{point.at:g}", point.median("p50"), point.median("p99"), rate, point.extra_mib]
        for point, rate in zip(points, rates, strict=True)
    ]
    measured = Points(list(points))
    enough = full([int(point.at) for point in points], rates)
    return "\n\n".join(
        (
            GROWTH.head(),
            table(["clients", "ms (p50)", "ms (p99)", "requests/s", "MiB more"], rows),
            f"{describe(GROWTH.time(measured))} {describe(GROWTH.memory(measured))} "
            f"{enough} {'client fills' if enough == 1 else 'clients fill'} the server: {significant(max(rates))} "
            f"requests a second are the most, one client gets {significant(rates[0])}.",
        )
    )


def charts(numbers: Numbers) -> Mapping[str, Figure]:
    """Time and memory with their fitted lines, and throughput between them."""
    drawn, axes = figure.three(GROWTH.title, "clients")
    measured = Points(list(numbers.points))
    figure.lined(axes[0], GROWTH.time(measured), "")
    axes[1].plot(
        [each.at for each in measured.points], [each.median("requests_per_second") for each in numbers.points], "o-"
    )
    axes[1].set_ylabel("requests/s")
    figure.lined(axes[2], GROWTH.memory(measured), "")
    figure.finish(axes)
    return {GROWTH.chart: drawn}
