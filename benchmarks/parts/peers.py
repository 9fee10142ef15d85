"""Concord and what a user would run instead: the same request to each, in alternating blocks.

All start from the same ONNX files. Concord runs as `concord serve` starts it, in the forms that `auto` chooses for this
processor, and a second time in FP32 as the others do. Pipelines in this process have one client only.
"""

import http.client
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import asdict, dataclass

import numpy as np
from matplotlib.figure import Figure

from benchmarks.curves.growth import SIZE
from benchmarks.load import generator as load
from benchmarks.load.application import Application, started
from benchmarks.load.comparison import FEWEST_PAIRS, Ratio, ratio
from benchmarks.load.facade import serving
from benchmarks.load.generator import Destination, Generator, Replies, Reply, Status, generator, statuses
from benchmarks.load.grpc_target import target_of
from benchmarks.load.result import answers
from benchmarks.parts import Row
from benchmarks.peers.pipeline import Pipeline, onnx_runtime, openvino
from benchmarks.subjects import text_guided, text_guided_networks
from concord.instruments.markdown import table
from concord.instruments.memory import MIB, resident
from concord.instruments.timing import percentiles
from concord.scenes.encoded import scene, scene_jpeg
from concord.server.choice import AUTO
from concord.server.embedded import EmbeddedServer, Ports
from concord.variants import DEFAULT

GRPC, FACADE, FP32 = "Concord, gRPC", "Concord, facade", "Concord, facade, FP32"
OURS = (FACADE, FP32)
"""What speaks HTTP, as the others do. A precision is named where it is not `auto`'s choice."""
LITSERVE, FASTAPI = "LitServe", "FastAPI"
START_SECONDS = 120.0
HARMONIZE = "/harmonize"
ONNX_RUNTIME, OPENVINO = "ONNX Runtime, in process", "OpenVINO, in process"
IN_PROCESS = {ONNX_RUNTIME: onnx_runtime, OPENVINO: openvino}
CLIENTS = (1, 8)
CHART = "peers.png"

Ask = Callable[[int, float], Replies]
"""Asks a system with so many clients, each again when it is answered, for so many seconds."""


@dataclass(frozen=True)
class Block:
    """Throughput, and percentiles in milliseconds."""

    requests_per_second: float
    p50: float
    p90: float
    p99: float


@dataclass(frozen=True)
class System(Block):
    """The medians of the blocks'; the statuses of all together."""

    blocks: list[Block]
    statuses: dict[Status, int]


@dataclass(frozen=True)
class Compared:
    """Systems by clients; and by clients and measure, how many times as fast each of `OURS` is as the other servers."""

    block_seconds: float
    clients: dict[int, dict[str, System]]
    over: dict[int, dict[str, dict[str, dict[str, Ratio]]]]


@dataclass(frozen=True)
class Numbers(Compared):
    """The request in words, and the memory of each system."""

    request: str
    memory_mib: dict[str, float]


def measure(rounds: int = FEWEST_PAIRS, seconds: float = 8.0) -> Numbers:
    """Text and a 512x512 JPEG to a PNG on demo weights, `rounds` blocks of each system and number of clients."""
    image, text = scene_jpeg(512, 512), scene().expression.encode()
    form, networks = {"image": image, "text": text}, text_guided_networks()
    with (
        generator() as asking,
        EmbeddedServer(ports=Ports(0, 0, 0), model_config_name=AUTO) as server,
        EmbeddedServer(ports=Ports(0, 0, 0), model_config_name=DEFAULT) as slower,
        serving(server) as facade,
        serving(slower) as fp32,
        elsewhere(LITSERVE, networks) as litserve,
        elsewhere(FASTAPI, networks) as fastapi,
    ):
        served: dict[str, Destination] = {
            GRPC: question(server.grpc_url, image, text),
            FACADE: facade.target(form),
            FP32: fp32.target(form),
            LITSERVE: litserve.form(HARMONIZE, form),
            FASTAPI: fastapi.form(HARMONIZE, form),
        }
        asks = {name: from_outside(asking, destination) for name, destination in served.items()}
        alone = {name: in_process(Pipeline(network, networks), image, text) for name, network in IN_PROCESS.items()}
        compared = compare(asks, alone, CLIENTS, rounds, seconds)
        triton = resident(server.processes()) / MIB
        memory = {
            GRPC: triton,
            FACADE: triton + resident(facade.processes()) / MIB,
            FP32: resident(slower.processes() + fp32.processes()) / MIB,
            LITSERVE: resident(litserve.processes()) / MIB,
            FASTAPI: resident(fastapi.processes()) / MIB,
        }
    request = "Text to harmonized 512x512 JPEG on demo weights"
    return Numbers(**vars(compared), request=request, memory_mib=memory)


def elsewhere(name: str, networks: Sequence[str]) -> AbstractContextManager[Application]:
    """`LITSERVE` or `FASTAPI` with these networks."""
    return started([f"benchmarks.peers.{name.lower()}_app", *networks], "/health", START_SECONDS)


def compare(
    served: Mapping[str, Ask], alone: Mapping[str, Ask], clients: Sequence[int], rounds: int, seconds: float
) -> Compared:
    """Each system's results by clients, and the ratio of each of `OURS` to the other servers (above 1 is faster)."""
    turns = [(number, name, ask) for number in clients for name, ask in served.items()]
    turns += [(1, name, ask) for name, ask in alone.items()]
    blocks = in_blocks(turns, rounds, seconds)
    systems = {
        number: {name: summary(each, seconds) for name, each in everyone.items()} for number, everyone in blocks.items()
    }
    ratios = {
        number: {
            ours: {name: over(everyone[ours].blocks, everyone[name].blocks) for name in (LITSERVE, FASTAPI)}
            for ours in OURS
        }
        for number, everyone in systems.items()
    }
    return Compared(seconds, systems, ratios)


def over(ours: Sequence[Block], theirs: Sequence[Block]) -> dict[str, Ratio]:
    """How many times as fast ours is, by throughput and percentiles; see `benchmarks.load.comparison.ratio`."""
    ratios = {}
    for key in ("requests_per_second", "p50", "p99"):
        mine, other = ([getattr(block, key) for block in blocks] for blocks in (ours, theirs))
        base, here = (other, mine) if key == "requests_per_second" else (mine, other)
        ratios[key] = ratio(base, here, less_is_faster=False)
    return ratios


def in_blocks(
    turns: Sequence[tuple[int, str, Ask]], rounds: int, seconds: float
) -> dict[int, dict[str, list[Replies]]]:
    """The replies by clients, system and block; every other round runs backwards."""
    blocks: dict[int, dict[str, list[Replies]]] = {}
    for clients, name, ask in turns:
        blocks.setdefault(clients, {})[name] = []
        ask(clients, min(seconds, 1))
    for number in range(rounds):
        for clients, name, ask in turns if number % 2 == 0 else reversed(turns):
            blocks[clients][name].append(ask(clients, seconds))
    return blocks


def summary(blocks: list[Replies], seconds: float) -> System:
    """A system's results, from its blocks."""
    rows = [
        Block(answers(block, 0, seconds, closed=True) / seconds, **percentiles(load.milliseconds(block, accepted=True)))
        for block in blocks
    ]
    medians = {key: float(np.median([getattr(row, key) for row in rows])) for key in asdict(rows[0])}
    return System(**medians, blocks=rows, statuses=statuses([reply for block in blocks for reply in block]))


def question(url: str, image: bytes, text: bytes) -> Destination:
    """A request for the harmonized picture only, as the others answer."""
    return target_of(url, text_guided().name, {"IMAGE": image, "TEXT": text}, "HARMONIZED")


def from_outside(asking: Generator, destination: Destination) -> Ask:
    return lambda clients, seconds: asking.run(load.closed_loop, destination, clients, seconds)


def in_process(pipeline: Pipeline, image: bytes, text: bytes) -> Ask:
    """Calls in sequence, without a server."""

    def ask(clients: int, seconds: float) -> Replies:
        assert clients == 1
        began = time.perf_counter()
        replies = []
        while (due := time.perf_counter()) - began < seconds:
            pipeline(image, text)
            replies.append(Reply(http.client.OK, time.perf_counter() - due, due - began))
        return replies

    return ask


def section(numbers: Numbers) -> str:
    """Throughput, times and memory of each system, by clients."""
    pieces = [
        "## Other servers with the same networks",
        f"{numbers.request}, alternating blocks of {numbers.block_seconds:g} s; medians of the blocks.",
        f"![Throughput of Concord and others]({CHART})",
    ]
    for clients, systems in numbers.clients.items():
        rows = []
        for name, row in systems.items():
            statuses = ", ".join(f"{status} x {count}" for status, count in row.statuses.items())
            memory = numbers.memory_mib.get(name, "")
            rows.append([name, row.requests_per_second, row.p50, row.p99, statuses, memory])
        pieces += [f"### {counted(clients)}", table(["", "requests/s", "p50 ms", "p99 ms", "answers", "MiB"], rows)]
    return "\n\n".join(pieces)


def instead(numbers: Numbers) -> Iterator[Row]:
    """Concord's facades compared with the other servers, then its server with the pipelines in this process."""
    for clients, systems in numbers.clients.items():
        for name, everyone in numbers.over[clients].items():
            place = f"{weights(name, FACADE)}, {counted(clients)}"
            for other, measures in everyone.items():
                for key, over in measures.items():
                    what = "requests/s" if key == "requests_per_second" else f"{key} ms"
                    theirs, ours = (getattr(systems[each], key) for each in (other, name))
                    interval = f"{over.low:.2f} to {over.high:.2f}"
                    yield Row(other, f"{place}, {what}", theirs, ours, over.ratio, interval)
    memory, alone = numbers.memory_mib, numbers.clients[1]
    for name in (name for name in memory if name.startswith(FACADE)):
        for other in (LITSERVE, FASTAPI):
            what = f"{weights(name, FACADE)}, memory, MiB"
            yield Row(other, what, memory[other], memory[name], memory[other] / memory[name])
    for name in (name for name in alone if name.startswith(GRPC)):
        for other in (other for other in IN_PROCESS if other in alone):
            what = f"{weights(name, GRPC)}, the whole pipeline, p50 ms"
            yield Row(other, what, alone[other].p50, alone[name].p50, alone[other].p50 / alone[name].p50)


def weights(name: str, kind: str) -> str:
    """What a system of Concord's serves, with its precision where that is a part of its name."""
    precision = name.removeprefix(kind).removeprefix(", ")
    return f"demo weights in {precision}" if precision else "demo weights"


def charts(numbers: Numbers) -> Mapping[str, Figure]:
    """Throughput of each system by clients."""
    figure = Figure(SIZE, layout="constrained")
    everyone = figure.subplots(1, len(numbers.clients), squeeze=False)[0]
    for axes, (clients, systems) in zip(everyone, numbers.clients.items(), strict=True):
        axes.barh(list(systems), [row.requests_per_second for row in systems.values()])
        axes.invert_yaxis()
        axes.set_xlabel("requests/s")
        axes.set_title(counted(clients))
    return {CHART: figure}


def counted(clients: int) -> str:
    return f"{clients} client{'' if clients == 1 else 's'}"
