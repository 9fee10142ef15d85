"""A facade in its own process, and requests for it."""

import http.client
import re
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import httpx

from benchmarks.load.application import Application, started
from benchmarks.load.generator import Target
from concord.server.embedded import HOST, EmbeddedServer

START_SECONDS = 60.0


@dataclass(frozen=True)
class Facade(Application):
    """A facade in its own process."""

    def target(self, fields: dict[str, bytes]) -> Target:
        """A request to harmonize."""
        return self.form("/v1/harmonize", fields)

    def get(self, path: str) -> httpx.Response:
        return httpx.get(f"http://{HOST}:{self.port}{path}", timeout=10)

    def at_work(self) -> float:
        """Number of requests in the queue or in Triton."""
        metrics = self.get("/metrics").text
        return sum(map(float, re.findall(r"^concord_(?:queue_depth|in_flight){.*} (\S+)$", metrics, re.MULTILINE)))


@contextmanager
def serving(server: EmbeddedServer, *flags: str) -> Iterator[Facade]:
    """`concord serve` in front of a running Triton, without the page and with more flags; stopped afterwards."""
    command = ["facade.serve", "--triton-url", server.grpc_url, "--no-page", "--host", HOST, *flags, "--port"]
    with started(command, "/readyz", START_SECONDS) as running:
        yield Facade(**vars(running))


@contextmanager
def blocking(facade: Application) -> Iterator[Callable[[bytes], int]]:
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
