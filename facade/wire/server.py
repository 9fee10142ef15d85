"""uvicorn's server, stopped without losing a request that was accepted."""

import asyncio
import contextlib
import errno
import socket
from collections.abc import Callable, Generator
from contextlib import suppress

import uvicorn
from starlette.types import ASGIApp, Receive, Scope, Send

from concord.errors import ServerFailure
from facade.settings import Settings
from facade.wire.protocol import bounded

_BACKLOG = 2048
_KEEP_ALIVE_SECONDS = 75  # longer than balancers keep a connection, so that it is they who close it
_ENDLESS = "/heartbeat/"  # of Gradio: open as long as a browser shows the page
_POLL_SECONDS = 0.05
_SHUTDOWN_SECONDS = 5.0
_TURNS = 5


class _Counted:
    """ASGI: counts the requests that somebody waits for."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app
        self.open = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        counted = scope["type"] == "http" and _ENDLESS not in scope["path"]
        self.open += counted
        try:
            await self._app(scope, receive, send)
        finally:
            self.open -= counted


class HttpServer(uvicorn.Server):
    """Serves an application on a socket until :meth:`stop`; leaves signals to its owner.

    Args:
        app: the facade.
        settings: how long a client may take to send a request's head, and how long a stop waits.
        stopping: is called when the server stops accepting.
    """

    def __init__(self, app: ASGIApp, settings: Settings, stopping: Callable[[], None] = lambda: None) -> None:
        self._counted = _Counted(app)
        self._drain_seconds = settings.drain_seconds
        self._stopping = stopping
        super().__init__(
            uvicorn.Config(
                self._counted,
                http=bounded(settings.read_timeout),
                ws="none",
                lifespan="on",
                log_config=None,
                access_log=False,
                server_header=False,
                backlog=_BACKLOG,
                timeout_keep_alive=_KEEP_ALIVE_SECONDS,
            )
        )

    def stop(self, *, at_once: bool = False) -> None:
        """Stops accepting and returns from :meth:`serve` when what was accepted is answered; or at once."""
        self.should_exit = True
        self.force_exit = self.force_exit or at_once

    @contextlib.contextmanager
    def capture_signals(self) -> Generator[None]:
        """Leaves them alone. (Event streams would otherwise be cut at the signal, wherever they are.)"""
        yield

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Closes the listening socket, then waits for the answers to requests that had arrived by then."""
        self._stopping()
        await self._read_arrived()
        for server in self.servers:
            server.close()
        for listener in sockets or []:
            listener.close()
        await self._read_arrived()
        for connection in list(self.server_state.connections):
            connection.shutdown()
        with suppress(TimeoutError):
            async with asyncio.timeout(self._drain_seconds):
                await self._until(lambda: self._counted.open == 0)
        for task in list(self.server_state.tasks):
            task.cancel()
        with suppress(TimeoutError):
            async with asyncio.timeout(_SHUTDOWN_SECONDS):
                # Of an answer that is complete, the end may still be on its way to the client.
                await self._until(lambda: not self.server_state.connections)
                await self.lifespan.shutdown()

    async def _until(self, done: Callable[[], bool]) -> None:
        while not (done() or self.force_exit):
            await asyncio.sleep(_POLL_SECONDS)

    async def _read_arrived(self) -> None:
        """Gives the event loop turns to accept connections, and to read requests, that wait in the kernel."""
        for _ in range(_TURNS):
            await asyncio.sleep(0)


def listener(host: str, port: int) -> socket.socket:
    """A socket that listens.

    Raises:
        ServerFailure: the port is taken, or not to be had.
    """
    try:
        family, _, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)[0]
        listening = socket.socket(family, socket.SOCK_STREAM)
    except OSError as error:
        raise ServerFailure("host", f"{host} is no address of this machine", "such as 127.0.0.1 or 0.0.0.0") from error
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listening.bind(address)
        listening.listen(_BACKLOG)
    except OSError as error:
        listening.close()
        problem = (
            f"{port} on {host} is taken" if error.errno == errno.EADDRINUSE else f"{port} on {host}: {error.strerror}"
        )
        raise ServerFailure("port", problem, "a free port; see --port") from error
    return listening
