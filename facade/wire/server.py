"""HTTP/1.1 as uvicorn speaks it, with bounds, and its server, stopped without losing a request that was accepted.

Bounds are on the head of a request, how long it may take and how large it may be; on how long its body may take; and on
how slowly a client may read its answer.
"""

import asyncio
import errno
import socket
import struct
from collections.abc import Callable, Generator
from contextlib import contextmanager, suppress
from http import HTTPStatus

import uvicorn
from starlette.types import ASGIApp, Receive, Scope, Send
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from concord.errors import ServerFailure
from facade.settings import Settings
from facade.wire.uploads import RATE_STEP

MAX_HEAD_BYTES = 64 * 2**10
_RESET = struct.pack("ii", 1, 0)  # struct linger: on, for no second
_TOO_SLOW = (HTTPStatus.REQUEST_TIMEOUT, "request_timeout")
_TOO_LARGE = (HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE, "request_too_large")
_BACKLOG = 2048
_KEEP_ALIVE_SECONDS = 75  # longer than balancers keep a connection, so that it is they who close it
_ENDLESS = "/heartbeat/"  # of Gradio: open as long as a browser shows the page
_POLL_SECONDS = 0.05
_SHUTDOWN_SECONDS = 5.0
_TURNS = 5
_LOOKS = 30
"""How often at most it is looked within the patience how much a client has read."""


class BoundedProtocol(HttpToolsProtocol):
    """One connection. How large a body may be is for those to say who read it.

    Attributes:
        patience: seconds a client may take from its first byte, or from connecting, to the end of the head; seconds in
            which it reads nothing of an answer that waits for it; and seconds that it may go on to send a body after
            the answer. Before the answer a body has twice that, and as much again for every `RATE_STEP` bytes: those
            who read it refuse it sooner, and say more.
        least_rate: bytes a second of an answer that a client has to read, after the patience; only the time counts in
            which the answer waits for it.
    """

    patience = 30.0
    least_rate = 2**18

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._head_bytes = 0
        self._in_head = True
        self._body_bytes = 0
        self._timer: asyncio.TimerHandle | None = self._armed()
        self._reading: asyncio.TimerHandle | None = None
        self._waited = 0.0
        self._read = 0

    def connection_lost(self, exc: Exception | None) -> None:
        self._disarm()
        self.resume_writing()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        if self._in_head:
            self._head_bytes += len(data)
            # What comes before the last answer is complete may wait for it.
            if self._is_answered:
                self._timer = self._timer or self._armed()
        super().data_received(data)
        if self._in_head and self._head_bytes > MAX_HEAD_BYTES:
            self._refuse(*_TOO_LARGE)

    def on_headers_complete(self) -> None:
        self._in_head = False
        self._disarm()
        self._body_bytes = 0
        super().on_headers_complete()
        self._timer = self.loop.call_later(self.patience, self._expect_body, 1)

    def on_body(self, body: bytes) -> None:
        self._body_bytes += len(body)
        super().on_body(body)

    def on_message_complete(self) -> None:
        self._in_head = True
        self._head_bytes = 0
        self._disarm()
        super().on_message_complete()

    def on_response_complete(self) -> None:
        super().on_response_complete()
        self._waited, self._read = 0.0, 0
        if self._is_answered and not self._in_head:
            self._disarm()
            self._timer = self.loop.call_later(self.patience, self.transport.close)

    def pause_writing(self) -> None:
        """What is written waits: the client does not read as fast as it is answered."""
        super().pause_writing()
        self._watch_reading()

    def resume_writing(self) -> None:
        """The client has read, or is gone."""
        self._count_reading()
        super().resume_writing()

    def _watch_reading(self) -> None:
        self._unread = self.transport.get_write_buffer_size()
        self._watched = self.loop.time()
        left = self._allowed_wait - self._waited
        seconds = min(self.patience, max(left, self.patience / _LOOKS))
        self._reading = self.loop.call_later(seconds, self._expect_reading, seconds)

    def _expect_reading(self, seconds: float) -> None:
        """So long it was waited for the client."""
        before = self._read
        self._count_reading()
        is_idle = self._read == before and seconds >= self.patience
        if is_idle or self._waited >= self._allowed_wait:
            # Reset, so that the kernel does not keep what lies unread for as long as the client likes.
            self.transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
            self.transport.abort()
        else:
            self._watch_reading()

    def _count_reading(self) -> None:
        if self._reading is not None:
            self._reading.cancel()
            self._reading = None
            self._waited += self.loop.time() - self._watched
            self._read += self._unread - self.transport.get_write_buffer_size()

    @property
    def _allowed_wait(self) -> float:
        """Seconds that the answer may have waited for the client, which has read so much of it."""
        return self.patience + self._read / self.least_rate

    @property
    def _is_answered(self) -> bool:
        return self.cycle is None or self.cycle.response_complete

    def _expect_body(self, waited: int) -> None:
        """The patience was waited for the body, so many times."""
        if waited > 1 + self._body_bytes // RATE_STEP:
            self._refuse(*_TOO_SLOW)
            return
        # It does not count while it is us who do not read.
        waited += not (self.flow.read_paused or self.pipeline)
        self._timer = self.loop.call_later(self.patience, self._expect_body, waited)

    def _armed(self) -> asyncio.TimerHandle:
        return self.loop.call_later(self.patience, self._refuse, *_TOO_SLOW)

    def _disarm(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _refuse(self, status: HTTPStatus, code: str) -> None:
        if self.transport.is_closing():
            return
        # In the middle of another answer there is no place for this one.
        if self._is_answered if self._in_head else not self.cycle.response_started:
            body = (
                f'{{"type":"urn:concord:problem:{code}","title":"{status.phrase}","status":{status.value},'
                f'"detail":"the request was not read to its end"}}'
            )
            self.transport.write(
                f"HTTP/1.1 {status.value} {status.phrase}\r\ncontent-type: application/problem+json\r\n"
                f"content-length: {len(body)}\r\nconnection: close\r\n\r\n{body}".encode()
            )
        self.transport.close()


class HttpServer(uvicorn.Server):
    """Serves an application on a socket until :meth:`stop`; leaves signals to its owner.

    `stopping` is called when the server stops accepting.
    """

    def __init__(self, app: ASGIApp, settings: Settings, stopping: Callable[[], None] = lambda: None) -> None:
        self._app = app
        self._open = 0
        self._drain_seconds = settings.drain_seconds
        self._stopping = stopping
        patience = {"patience": settings.read_timeout, "least_rate": settings.least_read_rate}
        super().__init__(
            uvicorn.Config(
                self._counted,
                interface="asgi3",
                http=type("_Patient", (BoundedProtocol,), patience),
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

    @contextmanager
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
                await self._until(lambda: self._open == 0)
        for task in list(self.server_state.tasks):
            task.cancel()
        with suppress(TimeoutError):
            async with asyncio.timeout(_SHUTDOWN_SECONDS):
                # Of an answer that is complete, the end may still be on its way to the client.
                await self._until(lambda: not self.server_state.connections)
                await self.lifespan.shutdown()

    async def _counted(self, scope: Scope, receive: Receive, send: Send) -> None:
        """The application; counts the requests that somebody waits for."""
        counted = scope["type"] == "http" and _ENDLESS not in scope["path"]
        self._open += counted
        try:
            await self._app(scope, receive, send)
        finally:
            self._open -= counted

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
        reason = " is taken" if error.errno == errno.EADDRINUSE else f": {error.strerror}"
        raise ServerFailure("port", f"{port} on {host}{reason}", "a free port; see --port") from error
    return listening
