"""The load generator: every request is counted, from when it was due, and what breaks is lost and not forgotten."""

import asyncio
from collections.abc import Awaitable, Callable

from benchmarks.load import LOST, Replies, Reply, Target, closed_loop, disconnect, milliseconds, open_loop, statuses

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi"
BUSY = b"HTTP/1.1 503 Busy\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
REQUEST = b"GET / HTTP/1.1\r\nHost: here\r\n\r\n"

Serve = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


def loaded(serve: Serve, load: Callable[..., Awaitable[Replies]], *arguments: float) -> Replies:
    """What becomes of a load on a server that answers like this."""

    async def run() -> Replies:
        server = await asyncio.start_server(serve, "127.0.0.1", 0)
        async with server:
            return await load(Target("127.0.0.1", server.sockets[0].getsockname()[1], REQUEST), *arguments)

    return asyncio.run(run())


async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while await reader.read(1000):
        writer.write(OK)
    writer.close()


async def refuse(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await reader.read(1000)
    writer.write(BUSY)
    writer.close()


async def break_off(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await reader.read(1000)
    writer.close()


async def say_nothing(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await reader.read()
    writer.close()


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
