"""A load generator in its own process, with as little work per request as Python allows.

Closed loops send a request when the previous one is answered. Open loops send at their own rate, and measure from the
time at which a request was due, so that a stalled server cannot slow the load down.
"""

import asyncio
import multiprocessing
import time
from collections import Counter
from collections.abc import Callable, Coroutine, Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol, TypeAlias, TypeVar, cast

import httptools
import httpx
import numpy as np
import uvloop

LOST = 0
"""The status of a request whose connection broke before it was answered."""
Status: TypeAlias = int | str
"""HTTP's number, gRPC's name, or `LOST`."""
GOOD: frozenset[Status] = frozenset({200, "OK"})
MOST_CONNECTIONS = 4000
LONGEST_WORDS = 500
PAUSE = 0.05
"""Seconds until a closed loop asks again after its connection broke."""


class Outcome(NamedTuple):
    """A request's status, and the server's message if it was refused.

    `retry_after` are the seconds after which it says to ask again, `again` is how often that was done.
    """

    status: Status
    words: str = ""
    retry_after: float | None = None
    again: int = 0


class Line(Protocol):
    """A connection that sends the same request again and again."""

    usable: bool

    async def ask(self) -> Outcome:
        """Sends the request; returns when the whole answer has arrived or none will come."""

    async def close(self) -> None:
        """Closes the connection at once, also during a request."""


class Destination(Protocol):
    """The address and the request; can be pickled."""

    async def open(self) -> Line:
        """Connects; raises OSError if nothing answers there."""


@dataclass(frozen=True)
class Target:
    """A destination that speaks HTTP/1.1; a request that is not answered within `timeout` seconds counts as lost."""

    host: str
    port: int
    request: bytes
    timeout: float | None = None

    @classmethod
    def of(cls, request: httpx.Request, timeout: float | None = None) -> "Target":
        head = b"".join(b"%b: %b\r\n" % header for header in request.headers.raw)
        line = b"%b %b HTTP/1.1\r\n" % (request.method.encode(), request.url.raw_path)
        return cls(request.url.host, request.url.port or 80, line + head + b"\r\n" + request.read(), timeout)

    async def open(self) -> "Connection":
        loop = asyncio.get_running_loop()
        _, protocol = await loop.create_connection(lambda: Connection(self), self.host, self.port)
        return protocol


@dataclass(frozen=True)
class Reply:
    """The result of one request; `seconds` count from when it was due, `due` from the start of the load.

    `again` is how often it was asked again.
    """

    status: Status
    seconds: float
    due: float
    words: str = ""
    again: int = 0

    @property
    def good(self) -> bool:
        return self.status in GOOD


Replies: TypeAlias = list[Reply]


def statuses(replies: Replies) -> dict[Status, int]:
    """Number of answers by status."""
    counts = Counter(reply.status for reply in replies)
    return {status: counts[status] for status in sorted(counts, key=str)}


def milliseconds(replies: Replies, accepted: bool) -> list[float]:
    """Times of the answered requests, or of those refused with a status."""
    return [reply.seconds * 1000 for reply in replies if reply.status != LOST and reply.good == accepted]


class Connection(asyncio.Protocol):
    """A connection that is kept alive; one request at a time."""

    def __init__(self, target: Target) -> None:
        self._target = target
        self._transport: asyncio.Transport | None = None
        self._parser = httptools.HttpResponseParser(self)
        self._answered: asyncio.Future[Outcome] | None = None
        self._words = b""
        self._retry_after: float | None = None
        self.usable = True

    async def ask(self) -> Outcome:
        """The answer when all of it has arrived; `LOST` if the connection broke or the timeout passed."""
        assert self._transport is not None
        self._answered = asyncio.get_running_loop().create_future()
        self._words, self._retry_after = b"", None
        self._transport.write(self._target.request)
        try:
            return await asyncio.wait_for(self._answered, self._target.timeout)
        except TimeoutError:
            await self.close()
            return Outcome(LOST, f"no answer within {self._target.timeout:g} s")

    async def close(self) -> None:
        self.usable = False
        if self._transport is not None:
            self._transport.abort()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)

    def data_received(self, data: bytes) -> None:
        self._parser.feed_data(data)

    def on_header(self, name: bytes, value: bytes) -> None:
        if name.lower() == b"retry-after" and value.isdigit():
            self._retry_after = float(value)

    def on_body(self, body: bytes) -> None:
        if self._parser.get_status_code() not in GOOD and len(self._words) < LONGEST_WORDS:
            self._words += body[:LONGEST_WORDS]

    def on_message_complete(self) -> None:
        self.usable = self.usable and self._parser.should_keep_alive()
        words = self._words.decode(errors="replace")
        self._settle(Outcome(self._parser.get_status_code(), words, self._retry_after))
        self._parser = httptools.HttpResponseParser(self)

    def connection_lost(self, error: Exception | None) -> None:
        self.usable = False
        self._settle(Outcome(LOST, "the connection broke"))

    def _settle(self, outcome: Outcome) -> None:
        if self._answered is not None and not self._answered.done():
            self._answered.set_result(outcome)


async def closed_loop(destination: Destination, connections: int, seconds: float) -> Replies:
    """Keeps a number of connections busy for a time; raises OSError if nothing answers there at the start."""
    clock = time.perf_counter  # uvloop's own counts milliseconds
    replies: Replies = []
    lines = await asyncio.gather(*(destination.open() for _ in range(connections)))
    began = clock()

    async def keep_asking(line: Line) -> None:
        while (due := clock()) - began < seconds:
            try:
                if not line.usable:
                    line = await destination.open()
                    due = clock()
                outcome = await line.ask()
            except OSError as error:
                outcome = Outcome(LOST, str(error))
            replies.append(Reply(outcome.status, clock() - due, due - began, outcome.words, outcome.again))
            if outcome.status == LOST:
                await asyncio.sleep(PAUSE)
        await line.close()

    await asyncio.gather(*map(keep_asking, lines))
    return replies


def arrivals(rate: float, seconds: float, seed: int | None = None) -> list[float]:
    """When requests are due, in seconds: evenly, or with a seed as a Poisson process, whose gaps are exponential."""
    if seed is None:
        return [number / rate for number in range(int(rate * seconds))]
    enough = int(rate * seconds + 10 * (rate * seconds) ** 0.5 + 10)  # ten standard deviations
    due = np.random.default_rng(seed).exponential(1 / rate, enough).cumsum()
    return [float(each) for each in due[due < seconds]]


async def open_loop(destination: Destination, rate: float, seconds: float, seed: int | None = None) -> Replies:
    """Sends requests at a rate per second, evenly or as in `arrivals`; returns when the last is answered.

    Opening a connection counts as part of the request that needs it. Raises RuntimeError if more than
    `MOST_CONNECTIONS` are waiting, because the server neither answers nor refuses.
    """
    clock = time.perf_counter  # uvloop's own counts milliseconds
    idle: list[Line] = []
    replies: Replies = []
    asking: set[asyncio.Task[None]] = set()

    async def ask_once(due: float) -> None:
        line = None
        while idle and (line is None or not line.usable):
            line = idle.pop()
        try:
            if line is None or not line.usable:
                line = await destination.open()
            outcome = await line.ask()
            if line.usable:
                idle.append(line)
        except OSError as error:
            outcome = Outcome(LOST, str(error))
        replies.append(Reply(outcome.status, clock() - due, due - began, outcome.words, outcome.again))

    began = clock()
    for offset in arrivals(rate, seconds, seed):
        due = began + offset
        await asyncio.sleep(max(due - clock(), 0))
        while clock() < due:  # uvloop may wake up half a millisecond early
            await asyncio.sleep(0)
        if len(asking) >= MOST_CONNECTIONS:
            raise RuntimeError(f"{len(asking)} requests are waiting {clock() - began:.0f} s after the start")
        task = asyncio.create_task(ask_once(due))
        asking.add(task)
        task.add_done_callback(asking.discard)
    await asyncio.gather(*asking)
    for line in idle:
        await line.close()
    return replies


async def disconnect(destination: Destination, clients: int, after: float) -> Replies:
    """Lets a number of clients send a request at once and disconnect after a number of seconds."""

    async def ask_and_leave() -> Reply:
        line = await destination.open()
        status: Status = LOST
        with suppress(TimeoutError):
            status = (await asyncio.wait_for(line.ask(), after)).status
        await line.close()
        return Reply(status, after, 0)

    return list(await asyncio.gather(*(ask_and_leave() for _ in range(clients))))


T = TypeVar("T")
Load: TypeAlias = Callable[..., Coroutine[Any, Any, T]]


class Generator:
    """The process that generates the load."""

    def __init__(self, pool: ProcessPoolExecutor) -> None:
        self._pool = pool

    def run(self, load: Load[T], *arguments: object) -> T:
        """What one of the load functions above returns."""
        return self._pool.submit(_run, load, *arguments).result()


@contextmanager
def generator() -> Iterator[Generator]:
    """A generator whose process has been started."""
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as pool:
        pool.submit(int).result()
        yield Generator(pool)


def _run(load: Load[T], *arguments: object) -> T:
    return uvloop.run(load(*arguments))
