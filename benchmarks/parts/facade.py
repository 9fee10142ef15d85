"""The facade: its latency, its throughput, and its behaviour under overload and when clients disconnect."""

import http.client
import time
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from benchmarks.load import generator as load
from benchmarks.load.facade import Facade, blocking, serving
from benchmarks.load.generator import Generator, Replies, Status, generator
from benchmarks.load.identity_model import write_instant
from concord.instruments.markdown import times
from concord.instruments.memory import Resident
from concord.instruments.stages import count, read_statistics
from concord.instruments.timing import in_turns, percentiles, settled
from concord.scenes.encoded import scene, scene_jpeg, scene_mask
from concord.server.embedded import EmbeddedServer, Ports
from concord_client import Client

OVERLOAD = 4  # times the capacity
CLIENTS = 4
QUEUE = 4
REST_SECONDS = 60.0
LOOK_SECONDS = 1.0


@dataclass(frozen=True)
class Added:
    """A call over gRPC and through the facade, and what the facade adds."""

    milliseconds: dict[str, dict[str, float]]
    added_ms: dict[str, float]


@dataclass(frozen=True)
class Throughput:
    """The throughput with a Triton that answers at once."""

    connections: int
    statuses: dict[Status, int]
    requests_per_second: float
    milliseconds: dict[str, float]


@dataclass(frozen=True)
class Overload:
    """The results of more requests than the capacity; `bound_ms` is the largest p99 that is acceptable."""

    sustainable_per_second: float
    asked_per_second: float
    seconds: float
    queue: int
    statuses: dict[Status, int]
    accepted_per_second: float
    unloaded_ms: dict[str, float]
    accepted_ms: dict[str, float]
    bound_ms: float
    refused_ms: dict[str, float]
    resident_mib: list[float]


@dataclass(frozen=True)
class Disconnected:
    """Clients that disconnect while they wait: Triton's answers afterwards, and the time until everything is idle."""

    clients: int
    idle_after_seconds: float
    inferences: int
    healthz: int


@dataclass(frozen=True)
class Numbers:
    """`added_at_once` and `throughput` with a Triton that answers at once, the others with demo weights."""

    added: Added
    added_at_once: Added
    throughput: Throughput
    overload: Overload
    disconnected: Disconnected


def measure(
    rounds: int = 200, throughput_seconds: float = 15, overload_seconds: float = 60, leaving: int = 100
) -> Numbers:
    text, mask = {"text": scene().expression.encode()}, {"mask": scene_mask(512, 512)}
    with generator() as asking:
        with EmbeddedServer(ports=Ports(0, 0, 0)) as server, serving(server, "--queue", str(QUEUE)) as facade:
            added = added_milliseconds(server, facade, rounds, text)
            overload = overloaded(facade, asking, overload_seconds, text)
            left = disconnected(server, facade, asking, leaving, text)
        with TemporaryDirectory() as folder:
            write_instant(Path(folder))
            with EmbeddedServer([Path(folder)], ports=Ports(0, 0, 0)) as instant, serving(instant) as facade:
                alone = added_milliseconds(instant, facade, 5 * rounds, mask)
                carried = throughput(facade, asking, throughput_seconds, mask)
    return Numbers(added, alone, carried, overload, left)


def added_milliseconds(server: EmbeddedServer, facade: Facade, rounds: int, part: dict[str, bytes]) -> Added:
    """A 512x512 JPEG with a text or a mask, through the facade and over gRPC, alternating, one client."""
    image = scene_jpeg(512, 512)
    request = facade.target({"image": image} | part).request
    text = part["text"].decode() if "text" in part else None
    with Client(server.grpc_url) as client, blocking(facade) as ask:
        calls = {
            "gRPC": lambda: client.harmonize(image, text=text, mask=part.get("mask")),
            "facade": lambda: require_ok(ask(request)),
        }
        milliseconds = {name: percentiles(values) for name, values in in_turns(calls, rounds, warm=5).items()}
    added = {quantile: milliseconds["facade"][quantile] - milliseconds["gRPC"][quantile] for quantile in ("p50", "p99")}
    return Added(milliseconds, added)


def throughput(facade: Facade, asking: Generator, seconds: float, part: dict[str, bytes]) -> Throughput:
    """512x512 JPEGs with a text or a mask, as many as are answered."""
    target = facade.target({"image": scene_jpeg(512, 512)} | part)
    asking.run(load.closed_loop, target, CLIENTS, 2)
    replies = asking.run(load.closed_loop, target, CLIENTS, seconds)
    milliseconds = percentiles(load.milliseconds(replies, accepted=True))
    return Throughput(CLIENTS, load.statuses(replies), per_second(replies), milliseconds)


def overloaded(facade: Facade, asking: Generator, seconds: float, part: dict[str, bytes]) -> Overload:
    """An open loop at `OVERLOAD` times the capacity: accepted and refused requests, and the facade's memory."""
    target = facade.target({"image": scene_jpeg(512, 512)} | part)
    alone = asking.run(load.closed_loop, target, 1, 10)
    carried = per_second(asking.run(load.closed_loop, target, QUEUE // 2, 10))
    with Resident(facade.process) as resident:
        replies = asking.run(load.open_loop, target, OVERLOAD * carried, seconds)
    unloaded = percentiles(load.milliseconds(alone, accepted=True))
    drained = per_second(replies)
    refused = load.milliseconds(replies, accepted=False)
    return Overload(
        sustainable_per_second=carried,
        asked_per_second=OVERLOAD * carried,
        seconds=seconds,
        queue=QUEUE,
        statuses=load.statuses(replies),
        accepted_per_second=drained,
        unloaded_ms=unloaded,
        accepted_ms=percentiles(load.milliseconds(replies, accepted=True)),
        bound_ms=2 * unloaded["p99"] + QUEUE / drained * 1000,
        refused_ms=percentiles(refused) | {"max": max(refused)},
        resident_mib=resident.by_quarter(),
    )


def disconnected(
    server: EmbeddedServer, facade: Facade, asking: Generator, clients: int, part: dict[str, bytes]
) -> Disconnected:
    """Lets a number of clients send a request each and disconnect."""
    before = answered(server)
    asking.run(load.disconnect, facade.target({"image": scene_jpeg(512, 512)} | part), clients, 0.3)
    began = time.perf_counter()
    while facade.at_work():
        if time.perf_counter() - began > REST_SECONDS:
            raise RuntimeError(f"{facade.at_work()} requests are still being worked on")
        time.sleep(0.05)
    idle = time.perf_counter() - began
    after = settled(lambda: answered(server), LOOK_SECONDS)
    return Disconnected(clients, idle, after - before, facade.get("/healthz").status_code)


def require_ok(status: int) -> None:
    if status != http.client.OK:
        raise RuntimeError(f"answered with {status}")


def per_second(replies: Replies) -> float:
    """Answers a second."""
    return sum(reply.good for reply in replies) / max(reply.due + reply.seconds for reply in replies)


def answered(server: EmbeddedServer) -> int:
    """Inferences that Triton's models have finished."""
    statistics = read_statistics(server.grpc_url)
    return sum(count(model, kind, "count") for model in statistics.values() for kind in ("success", "fail", "cancel"))


def section(numbers: Numbers) -> str:
    added, at_once, throughput = numbers.added, numbers.added_at_once.added_ms, numbers.throughput
    left = numbers.disconnected
    return (
        "## The facade\n\nDemo weights, text to harmonized 512x512 JPEG, one client:\n\n"
        f"{times(added.milliseconds)}\n\n"
        f"It adds {added.added_ms['p50']:.1f} ms at p50 and {added.added_ms['p99']:.1f} ms at p99; with a Triton "
        f"that answers at once, {at_once['p50']:.1f} ms and {at_once['p99']:.1f} ms, and the throughput is then "
        f"{throughput.requests_per_second:.0f} requests/s ({throughput.connections} connections, 512x512 JPEG, "
        f"mask).\n\n{overload(numbers.overload)}\n\n"
        f"When {left.clients} clients disconnect, it is idle after {left.idle_after_seconds:.1f} s; Triton makes "
        f"{left.inferences} inferences."
    )


def overload(measured: Overload) -> str:
    accepted, refused = measured.accepted_ms, measured.refused_ms
    answers = ", ".join(f"{status} x {count}" for status, count in measured.statuses.items())
    memory = ", ".join(f"{each:.0f}" for each in measured.resident_mib)
    return (
        f"### Overload: {measured.asked_per_second:.0f} requests/s for {measured.seconds:.0f} s, at a capacity of "
        f"{measured.sustainable_per_second:.1f}\n\n"
        f"A queue of {measured.queue}. Statuses: {answers}. Accepted requests have a p99 of {accepted['p99']:.0f} ms "
        f"(bound: {measured.bound_ms:.0f} ms); refused ones take {refused['p50']:.1f} ms at p50, "
        f"{refused['p99']:.1f} ms at p99 and at most {refused['max']:.1f} ms. Memory by quarter: {memory} MiB."
    )
