"""A load generator for HTTP/1.1: as little work for each request as Python allows, and a process of its own.

Closed loops ask again when they are answered; open ones ask at their own rate, answered or not, and count from when a
request was due, so that a server which stalls cannot slow the questions down.
"""

import asyncio
import multiprocessing
import time
from collections import Counter
from collections.abc import Callable, Coroutine, Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Any, TypeAlias, cast

import httptools
import uvloop

LOST = 0
"""The status of a request whose connection broke before it was answered."""
MOST_CONNECTIONS = 4000


@dataclass(frozen=True)
class Target:
    """Where requests go, and the bytes of one: line, headers and body."""

    host: str
    port: int
    request: bytes


@dataclass(frozen=True)
class Reply:
    """What became of one request.

    Attributes:
        status: HTTP's, or `LOST`.
        seconds: from when it was due to the last byte of its answer.
        due: seconds from the start of the load.
    """

    status: int
    seconds: float
    due: float


Replies: TypeAlias = list[Reply]


def statuses(replies: Replies) -> dict[int, int]:
    """How many answers there were of each status."""
    return dict(sorted(Counter(reply.status for reply in replies).items()))


def milliseconds(replies: Replies, accepted: bool) -> list[float]:
    """The times of the requests that were answered with 200, or of those that were refused with a status."""
    return [reply.seconds * 1000 for reply in replies if reply.status != LOST and (reply.status == 200) == accepted]


class Connection(asyncio.Protocol):
    """One connection that is kept alive; one request at a time."""

    def __init__(self) -> None:
        self._transport: asyncio.Transport | None = None
        self._parser = httptools.HttpResponseParser(self)
        self._answered: asyncio.Future[int] | None = None
        self.usable = True

    @classmethod
    async def open(cls, target: Target) -> "Connection":
        """Connects."""
        _, protocol = await asyncio.get_running_loop().create_connection(cls, target.host, target.port)
        return protocol

    async def ask(self, request: bytes) -> int:
        """The status of the answer, once all of it is here; `LOST` where the connection broke."""
        assert self._transport is not None
        self._answered = asyncio.get_running_loop().create_future()
        self._transport.write(request)
        return await self._answered

    def close(self) -> None:
        """Ends the connection at once, whatever is on its way."""
        self.usable = False
        if self._transport is not None:
            self._transport.abort()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)

    def data_received(self, data: bytes) -> None:
        self._parser.feed_data(data)

    def on_message_complete(self) -> None:
        self.usable = self.usable and self._parser.should_keep_alive()
        self._settle(self._parser.get_status_code())
        self._parser = httptools.HttpResponseParser(self)

    def connection_lost(self, error: Exception | None) -> None:
        self.usable = False
        self._settle(LOST)

    def _settle(self, status: int) -> None:
        if self._answered is not None and not self._answered.done():
            self._answered.set_result(status)


async def closed_loop(target: Target, connections: int, seconds: float) -> Replies:
    """So many connections, each asking as soon as it is answered, for that long."""
    clock = time.perf_counter  # uvloop's own counts milliseconds
    began = clock()
    replies: Replies = []

    async def keep_asking() -> None:
        connection = await Connection.open(target)
        while (due := clock()) - began < seconds:
            if not connection.usable:
                connection = await Connection.open(target)
            status = await connection.ask(target.request)
            replies.append(Reply(status, clock() - due, due - began))
        connection.close()

    await asyncio.gather(*(keep_asking() for _ in range(connections)))
    return replies


async def open_loop(target: Target, rate: float, seconds: float) -> Replies:
    """Requests at an even rate a second for that long; returns when the last is answered.

    Raises:
        RuntimeError: more than `MOST_CONNECTIONS` are waiting: the server neither answers nor refuses.
    """
    clock = time.perf_counter  # uvloop's own counts milliseconds
    idle: list[Connection] = []
    replies: Replies = []
    asking: set[asyncio.Task[None]] = set()

    async def ask_once(due: float) -> None:
        connection = None
        while idle and (connection is None or not connection.usable):
            connection = idle.pop()
        try:
            if connection is None or not connection.usable:
                connection = await Connection.open(target)
            status = await connection.ask(target.request)
            if connection.usable:
                idle.append(connection)
        except OSError:
            status = LOST
        replies.append(Reply(status, clock() - due, due - began))

    began = clock()
    for number in range(int(rate * seconds)):
        due = began + number / rate
        await asyncio.sleep(max(due - clock(), 0))
        if len(asking) >= MOST_CONNECTIONS:
            raise RuntimeError(f"{len(asking)} requests are waiting {clock() - began:.0f} s after the start")
        task = asyncio.create_task(ask_once(due))
        asking.add(task)
        task.add_done_callback(asking.discard)
    await asyncio.gather(*asking)
    for connection in idle:
        connection.close()
    return replies


async def disconnect(target: Target, clients: int, after: float) -> Replies:
    """So many clients at once, each of which sends its request and goes away that many seconds later."""

    async def ask_and_leave() -> Reply:
        connection = await Connection.open(target)
        status = LOST
        with suppress(TimeoutError):
            status = await asyncio.wait_for(connection.ask(target.request), after)
        connection.close()
        return Reply(status, after, 0)

    return list(await asyncio.gather(*(ask_and_leave() for _ in range(clients))))


Load: TypeAlias = Callable[..., Coroutine[Any, Any, Replies]]


class Generator:
    """The process that makes the load."""

    def __init__(self, pool: ProcessPoolExecutor) -> None:
        self._pool = pool

    def run(self, load: Load, *arguments: object) -> Replies:
        """What became of the requests of one of the functions above."""
        return self._pool.submit(_run, load, *arguments).result()


@contextmanager
def generator() -> Iterator[Generator]:
    """A generator that is ready: its process has been started."""
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as pool:
        pool.submit(int).result()
        yield Generator(pool)


def _run(load: Load, *arguments: object) -> Replies:
    return uvloop.run(load(*arguments))
