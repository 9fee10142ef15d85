"""A facade in its own process, and requests for it."""

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

import psutil

from benchmarks.load.generator import Target
from concord.server.embedded import HOST, EmbeddedServer, Ports

START_SECONDS = 60.0


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
