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

OVERLOAD = 4
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
    with generator() as asking:
        with EmbeddedServer(ports=Ports(0, 0, 0)) as server, serving(server, "--queue", str(QUEUE)) as facade:
            added = added_milliseconds(server, facade, rounds, text=scene().expression)
            overload = overloaded(facade, asking, overload_seconds)
            left = disconnected(server, facade, asking, leaving)
        with TemporaryDirectory() as folder:
            write_instant(Path(folder))
            with EmbeddedServer([Path(folder)], ports=Ports(0, 0, 0)) as instant, serving(instant) as facade:
                alone = added_milliseconds(instant, facade, 5 * rounds, mask=scene_mask(512, 512))
                carried = throughput(facade, asking, throughput_seconds)
    return Numbers(added, alone, carried, overload, left)


def added_milliseconds(
    server: EmbeddedServer, facade: Facade, rounds: int, text: str | None = None, mask: bytes | None = None
) -> Added:
    """A 512x512 JPEG with a text or a mask, through the facade and over gRPC, alternating, one client."""
    image = scene_jpeg(512, 512)
    part = {"mask": mask} if mask is not None else {"text": (text or "").encode()}
    request = facade.target({"image": image} | part).request
    with Client(server.grpc_url) as client, blocking(facade) as ask:
        spent = in_turns(
            {
                "gRPC": lambda: client.harmonize(image, text=text, mask=mask),
                "facade": lambda: expect(ask(request), 200),
            },
            rounds,
            warm=5,
        )
    milliseconds = {name: percentiles(values) for name, values in spent.items()}
    added = {quantile: milliseconds["facade"][quantile] - milliseconds["gRPC"][quantile] for quantile in ("p50", "p99")}
    return Added(milliseconds, added)


def throughput(facade: Facade, asking: Generator, seconds: float) -> Throughput:
    """Requests per second with a Triton that answers at once, 512x512 JPEGs with a mask."""
    target = facade.target({"image": scene_jpeg(512, 512), "mask": scene_mask(512, 512)})
    asking.run(load.closed_loop, target, CLIENTS, 2)
    replies = asking.run(load.closed_loop, target, CLIENTS, seconds)
    milliseconds = percentiles(load.milliseconds(replies, accepted=True))
    return Throughput(CLIENTS, load.statuses(replies), per_second(replies), milliseconds)


def overloaded(facade: Facade, asking: Generator, seconds: float) -> Overload:
    """An open loop at `OVERLOAD` times the capacity: accepted and refused requests, and the facade's memory."""
    image = scene_jpeg(512, 512)
    target = facade.target({"image": image, "text": scene().expression.encode()})
    alone = asking.run(load.closed_loop, target, 1, 10)
    carried = per_second(asking.run(load.closed_loop, target, QUEUE // 2, 10))
    with Resident(facade.process) as resident:
        replies = asking.run(load.open_loop, target, OVERLOAD * carried, seconds)
    unloaded = percentiles(load.milliseconds(alone, accepted=True))
    accepted = percentiles(load.milliseconds(replies, accepted=True))
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
        accepted_ms=accepted,
        bound_ms=2 * unloaded["p99"] + QUEUE / drained * 1000,
        refused_ms=percentiles(refused) | {"max": max(refused)},
        resident_mib=resident.by_quarter(),
    )


def disconnected(server: EmbeddedServer, facade: Facade, asking: Generator, clients: int) -> Disconnected:
    """Lets a number of clients send a request each and disconnect."""
    target = facade.target({"image": scene_jpeg(512, 512), "text": scene().expression.encode()})
    before = answered(server)
    asking.run(load.disconnect, target, clients, 0.3)
    began = time.perf_counter()
    while facade.at_work():
        if time.perf_counter() - began > REST_SECONDS:
            raise RuntimeError(f"{facade.at_work()} requests are still being worked on")
        time.sleep(0.05)
    idle = time.perf_counter() - began
    after = settled(lambda: answered(server), LOOK_SECONDS)
    status, _ = facade.get("/healthz")
    return Disconnected(clients, idle, after - before, status)


def expect(status: int, wanted: int) -> None:
    if status != wanted:
        raise RuntimeError(f"answered with {status}")


def per_second(replies: Replies) -> float:
    """Requests answered with 200 a second."""
    accepted = [reply for reply in replies if reply.status == http.client.OK]
    return len(accepted) / max(reply.due + reply.seconds for reply in replies)


def answered(server: EmbeddedServer) -> int:
    """Number of inferences that Triton's models have finished."""
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
