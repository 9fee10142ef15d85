"""The load generator: every request is counted, from when it was due, and what breaks is lost and not forgotten."""

import asyncio
from collections.abc import Awaitable, Callable

import numpy as np
import pytest
from scipy import stats

from benchmarks.load.generator import (
    LOST,
    Replies,
    Reply,
    Target,
    arrivals,
    closed_loop,
    disconnect,
    milliseconds,
    open_loop,
    statuses,
)

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi"
BUSY = b"HTTP/1.1 503 Busy\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
REQUEST = b"GET / HTTP/1.1\r\nHost: here\r\n\r\n"

Serve = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


def loaded(
    serve: Serve, load: Callable[..., Awaitable[Replies]], *arguments: float, timeout: float | None = None
) -> Replies:
    """What becomes of a load on a server that answers like this and closes the connection then."""

    async def serve_and_close(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await serve(reader, writer)
        finally:
            writer.close()

    async def run() -> Replies:
        server = await asyncio.start_server(serve_and_close, "127.0.0.1", 0)
        async with server:
            return await load(Target("127.0.0.1", server.sockets[0].getsockname()[1], REQUEST, timeout), *arguments)

    return asyncio.run(run())


async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while await reader.read(1000):
        writer.write(OK)


async def refuse(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await reader.read(1000)
    writer.write(BUSY)


async def break_off(reader: asyncio.StreamReader, _writer: asyncio.StreamWriter) -> None:
    await reader.read(1000)


async def say_nothing(reader: asyncio.StreamReader, _writer: asyncio.StreamWriter) -> None:
    await reader.read()


def test_a_closed_loop_asks_again_on_the_same_connection():
    replies = loaded(answer, closed_loop, 2, 0.05)
    assert len(replies) > 2 and statuses(replies) == {200: len(replies)}


def test_an_open_loop_asks_at_its_rate_whatever_the_answers_are():
    assert statuses(loaded(answer, open_loop, 200, 0.1)) == {200: 20}
    assert statuses(loaded(refuse, open_loop, 200, 0.1)) == {503: 20}
    assert statuses(loaded(break_off, open_loop, 200, 0.1)) == {LOST: 20}


def test_time_counts_from_when_a_request_was_due():
    replies = loaded(answer, open_loop, 200, 0.1)
    due = sorted(reply.due for reply in replies)
    assert [round(each, 6) for each in due] == [round(number / 200, 6) for number in range(20)]


def test_who_leaves_is_not_answered():
    assert loaded(say_nothing, disconnect, 5, 0.05) == 5 * [Reply(LOST, 0.05, 0)]


def test_accepted_and_refused_are_told_apart_and_the_lost_are_neither():
    replies = [Reply(200, 0.1, 0), Reply(503, 0.002, 0), Reply(LOST, 9, 0)]
    assert (milliseconds(replies, accepted=True), milliseconds(replies, accepted=False)) == ([100], [2])


def test_arrivals_by_chance_are_a_poisson_process() -> None:
    due = np.array(arrivals(50, 200, seed=1))
    assert due[0] > 0 and due[-1] < 200 and (np.diff(due) > 0).all()
    assert len(due) == pytest.approx(10_000, abs=4 * 100)  # standard deviations
    assert stats.kstest(np.diff(due), stats.expon(scale=1 / 50).cdf).pvalue > 0.01
    counts = np.histogram(due, 200, (0, 200))[0]
    assert counts.var() / counts.mean() == pytest.approx(1, abs=0.4)


def test_a_seed_gives_the_same_arrivals_again_and_without_one_they_are_even() -> None:
    assert arrivals(50, 2, seed=1) == arrivals(50, 2, seed=1) != arrivals(50, 2, seed=2)
    assert arrivals(10, 0.5) == [0, 0.1, 0.2, 0.3, 0.4]


def test_an_open_loop_asks_when_chance_says() -> None:
    replies = loaded(answer, open_loop, 200, 0.1, 7)
    assert sorted(reply.due for reply in replies) == pytest.approx(arrivals(200, 0.1, seed=7))


def test_a_request_that_is_not_answered_in_time_is_lost_and_the_loop_goes_on() -> None:
    replies = loaded(say_nothing, closed_loop, 1, 0.1, timeout=0.02)
    assert len(replies) > 1 and {reply.words for reply in replies} == {"no answer within 0.02 s"}


def test_a_closed_loop_counts_broken_connections_and_asks_again() -> None:
    replies = loaded(break_off, closed_loop, 1, 0.12)
    assert len(replies) > 1 and statuses(replies) == {LOST: len(replies)}


def test_a_refusal_keeps_its_words() -> None:
    async def refuse_in_words(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(1000)
        writer.write(b"HTTP/1.1 400 Bad\r\nContent-Length: 8\r\nConnection: close\r\n\r\nno image")

    [reply] = loaded(refuse_in_words, open_loop, 10, 0.1)
    assert (reply.status, reply.words, reply.good) == (400, "no image", False)
