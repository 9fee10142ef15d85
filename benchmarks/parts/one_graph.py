"""A network that finds and harmonizes, against the two that it is made of: published sizes, random weights, INT8."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from benchmarks.floors import published
from benchmarks.floors.forms import INT8, build_int8
from benchmarks.floors.text_guided import asking
from benchmarks.parts import Row
from benchmarks.subjects import END_TO_END, HEAVY, text_guided_networks
from concord.instruments.markdown import significant, table
from concord.instruments.memory import MIB, by_model, instances
from concord.instruments.timing import in_turns, percentiles
from concord.scenes.encoded import scene_jpeg
from concord_client import Client

TWO, ONE = "two networks", "one graph"
IN_TURN, TOGETHER = "two requests in turn", "two requests together"


@dataclass(frozen=True)
class Numbers:
    """Percentiles of requests, MiB and processes of the networks; and of two requests to the one graph.

    Attributes:
        over: the one graph's p50 over that of two networks.
        together: how many times as many requests a second two together make as two in turn.
    """

    milliseconds: dict[str, dict[str, float]]
    mib: dict[str, float]
    processes: dict[str, int]
    over: float
    together: float


def measure(rounds: int = 9) -> Numbers:
    folders = published.one_graph(), published.text_guided()
    networks = {TWO: text_guided_networks(HEAVY), ONE: text_guided_networks(END_TO_END)}
    every = [(folders[0], name) for name in networks[ONE]] + [(folders[1], name) for name in networks[TWO]]
    for folder, name in every:
        build_int8(name, folder)
    image = scene_jpeg(512, 512)
    names = [name for _, name in every]
    with (
        published.serving(*folders, only=names, profile=INT8) as server,
        Client(server.grpc_url, timeout=300) as client,
        ThreadPoolExecutor(2) as threads,
    ):
        ask = {TWO: asking(client, image, HEAVY), ONE: asking(client, image, END_TO_END)}
        calls = ask | {
            IN_TURN: lambda: [ask[ONE](), ask[ONE]()],
            TOGETHER: lambda: list(threads.map(lambda call: call(), [ask[ONE]] * 2)),
        }
        milliseconds = {name: percentiles(each) for name, each in in_turns(calls, rounds).items()}
        used, running = by_model(server.processes()), instances(server.processes())
    p50 = {name: each["p50"] for name, each in milliseconds.items()}
    return Numbers(
        milliseconds,
        mib={kind: sum(used[name] for name in each) / MIB for kind, each in networks.items()},
        processes={kind: sum(len(running[name]) for name in each) for kind, each in networks.items()},
        over=p50[ONE] / p50[TWO],
        together=p50[IN_TURN] / p50[TOGETHER],
    )


def section(numbers: Numbers) -> str:
    rows = [
        [name, *map(significant, each.values()), significant(numbers.mib[name]), numbers.processes[name]]
        if name in numbers.mib
        else [name, *map(significant, each.values()), "", ""]
        for name, each in numbers.milliseconds.items()
    ]
    return (
        f"## One graph that finds and harmonizes (`{END_TO_END}`), published sizes, INT8, 512x512 JPEG\n\n"
        f"{table(['', 'p50 ms', 'p90', 'p99', 'MiB of networks', 'processes'], rows)}\n\n"
        f"One graph takes {numbers.over:.3f} of the time of two networks. Two requests together make "
        f"{numbers.together:.2f} times as many answers a second as two in turn."
    )


def instead(numbers: Numbers) -> Iterator[Row]:
    two, one = (numbers.milliseconds[kind]["p50"] for kind in (TWO, ONE))
    yield Row("two networks", "one graph, published sizes in INT8, p50 ms", two, one, two / one)
