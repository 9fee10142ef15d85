"""The facade: its latency, its throughput, and its behaviour under overload and when clients disconnect."""

import http.client
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import psutil

from benchmarks.load import generator as load
from benchmarks.load.generator import Generator, Replies, Target, generator
from benchmarks.parts.identity_model import write_instant
from concord.instruments.memory import Resident
from concord.instruments.stages import count, read_statistics
from concord.instruments.timing import in_turns, percentiles, settled
from concord.scenes.encoded import scene, scene_jpeg, scene_mask
from concord.server.embedded import HOST, EmbeddedServer, Ports
from concord_client import Client

OVERLOAD = 4
CLIENTS = 4
QUEUE = 4
START_SECONDS = 60.0
REST_SECONDS = 60.0
LOOK_SECONDS = 1.0


@dataclass(frozen=True)
class Facade:
    """A facade in its own process."""

    port: int
    process: psutil.Process

    def target(self, fields: dict[str, bytes]) -> Target:
        """A request to harmonize."""
        return Target(HOST, self.port, form_request("/v1/harmonize", fields))

    def get(self, path: str) -> tuple[int, str]:
        """Status and text of an answer."""
        connection = http.client.HTTPConnection(HOST, self.port, timeout=10)
        try:
            connection.request("GET", path)
            answer = connection.getresponse()
            return answer.status, answer.read().decode()
        finally:
            connection.close()

    def at_work(self) -> float:
        """Number of requests in the queue or in Triton."""
        _, metrics = self.get("/metrics")
        return sum(map(float, re.findall(r"^concord_(?:queue_depth|in_flight){.*} (\S+)$", metrics, re.MULTILINE)))


def facade_measures(
    rounds: int = 200, throughput_seconds: float = 15, overload_seconds: float = 60, leaving: int = 100
) -> dict[str, Any]:
    """All measurements below; the first, third and fourth with demo weights."""
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
    return {
        "added": added,
        "added_at_once": alone,
        "throughput": carried,
        "overload": overload,
        "disconnected": left,
    }


def added_milliseconds(
    server: EmbeddedServer, facade: Facade, rounds: int, text: str | None = None, mask: bytes | None = None
) -> dict[str, Any]:
    """A 512x512 JPEG with a text or a mask, through the facade and over gRPC, alternating, one client."""
    image = scene_jpeg(512, 512)
    part = {"mask": mask} if mask is not None else {"text": (text or "").encode()}
    request = facade.target({"image": image} | part).request
    with Client(server.grpc_url) as client, blocking(facade) as ask:
        times = in_turns(
            {
                "gRPC": lambda: client.harmonize(image, text=text, mask=mask),
                "facade": lambda: expect(ask(request), 200),
            },
            rounds,
            warm=5,
        )
    milliseconds = {name: percentiles(values) for name, values in times.items()}
    added = {quantile: milliseconds["facade"][quantile] - milliseconds["gRPC"][quantile] for quantile in ("p50", "p99")}
    return {"milliseconds": milliseconds, "added_ms": added}


def throughput(facade: Facade, asking: Generator, seconds: float) -> dict[str, Any]:
    """Requests per second with a Triton that answers at once, 512x512 JPEGs with a mask."""
    target = facade.target({"image": scene_jpeg(512, 512), "mask": scene_mask(512, 512)})
    asking.run(load.closed_loop, target, CLIENTS, 2)
    replies = asking.run(load.closed_loop, target, CLIENTS, seconds)
    return {
        "connections": CLIENTS,
        "statuses": load.statuses(replies),
        "requests_per_second": per_second(replies),
        "milliseconds": percentiles(load.milliseconds(replies, accepted=True)),
    }


def overloaded(facade: Facade, asking: Generator, seconds: float) -> dict[str, Any]:
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
    return {
        "sustainable_per_second": carried,
        "asked_per_second": OVERLOAD * carried,
        "seconds": seconds,
        "queue": QUEUE,
        "statuses": load.statuses(replies),
        "accepted_per_second": drained,
        "unloaded_ms": unloaded,
        "accepted_ms": accepted,
        "bound_ms": 2 * unloaded["p99"] + QUEUE / drained * 1000,
        "refused_ms": percentiles(refused) | {"max": max(refused)},
        "resident_mib": resident.by_quarter(),
    }


def disconnected(server: EmbeddedServer, facade: Facade, asking: Generator, clients: int) -> dict[str, Any]:
    """Clients that disconnect while they wait: Triton's answers afterwards, and the time until everything is idle."""
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
    return {"clients": clients, "idle_after_seconds": idle, "inferences": after - before, "healthz": status}


@contextmanager
def serving(server: EmbeddedServer, *flags: str) -> Iterator[Facade]:
    """`concord serve` in front of a running Triton, without the page and with more flags; stopped afterwards."""
    port = Ports(0, 0, 0).chosen().http
    command = [sys.executable, "-m", "facade.serve", "--triton-url", server.grpc_url, "--no-page"]
    command += ["--host", HOST, "--port", str(port), *flags]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)  # noqa: S603 - our own
    try:
        facade = Facade(port, psutil.Process(process.pid))
        wait_until_ready(facade, process)
        yield facade
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(START_SECONDS)


def wait_until_ready(facade: Facade, process: "subprocess.Popen[bytes]") -> None:
    began = time.monotonic()
    while True:
        try:
            if facade.get("/readyz")[0] == http.client.OK:
                return
        except OSError:
            pass
        if process.poll() is not None or time.monotonic() - began > START_SECONDS:
            raise RuntimeError(f"the facade did not start (exit status {process.poll()})")
        time.sleep(0.1)


def form_request(path: str, fields: dict[str, bytes]) -> bytes:
    """A POST of a form with its headers; every field but the text is a file."""
    boundary = "concord-benchmark"
    parts = []
    for name, content in fields.items():
        filename = "" if name == "text" else f'; filename="{name}"'
        parts.append(f'--{boundary}\r\nContent-Disposition: form-data; name="{name}"{filename}\r\n\r\n'.encode())
        parts.append(content + b"\r\n")
    body = b"".join(parts) + f"--{boundary}--\r\n".encode()
    head = (
        f"POST {path} HTTP/1.1\r\nHost: {HOST}\r\nContent-Type: multipart/form-data; boundary={boundary}\r\n"
        f"Content-Length: {len(body)}\r\n\r\n"
    )
    return head.encode() + body


@contextmanager
def blocking(facade: Facade) -> Iterator[Callable[[bytes], int]]:
    """Sends a request over a kept connection and returns the status when the whole answer has arrived."""
    with socket.create_connection((HOST, facade.port)) as connection:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

        def ask(request: bytes) -> int:
            connection.sendall(request)
            answer = http.client.HTTPResponse(connection)
            answer.begin()
            answer.read()
            return answer.status

        yield ask


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
