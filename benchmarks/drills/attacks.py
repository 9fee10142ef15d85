"""What attackers do: each is a coroutine that returns how it was answered, by status."""

import asyncio
from collections import Counter
from collections.abc import Coroutine, Sequence
from contextlib import suppress
from typing import Any, TypeAlias

from benchmarks.load.generator import LOST, Status, Target, closed_loop, statuses
from concord_client import AsyncClient, ConcordClientError

Answers: TypeAlias = dict[Status, int]

CHUNKS = 700_000
CHUNKS_AT_ONCE = 7_000
STALLED = 200
READERS = 12
READ_BYTES, READ_PAUSE = 50_000, 0.25
"""What a slow reader takes at a time, and the seconds until it takes more: 200 kB a second."""


async def chunks(target: Target, seconds: float) -> Answers:
    """A body of so many chunks of one byte each."""
    reader, writer = await asyncio.open_connection(target.host, target.port)
    writer.write(_head(target, "Transfer-Encoding: chunked"))
    with suppress(OSError):
        for _ in range(CHUNKS // CHUNKS_AT_ONCE):
            writer.write(b"1\r\na\r\n" * CHUNKS_AT_ONCE)
            await writer.drain()
        writer.write(b"0\r\n\r\n")
    return Counter([await _status(reader, writer, seconds)])


async def half_bodies(target: Target, seconds: float) -> Answers:
    """So many clients at once that send a half of what they said, and wait."""

    async def stall() -> Status:
        reader, writer = await asyncio.open_connection(target.host, target.port)
        writer.write(target.request[: len(target.request) // 2])
        return await _status(reader, writer, seconds)

    return Counter(await asyncio.gather(*(stall() for _ in range(STALLED))))


async def slow_readers(target: Target, seconds: float) -> Answers:
    """So many clients that ask for a large answer and take it slowly, until they are cut off or the time is over."""

    async def read() -> Status:
        reader, writer = await asyncio.open_connection(target.host, target.port, limit=READ_BYTES)
        writer.write(target.request)
        status: Status = LOST
        with suppress(TimeoutError, OSError):
            async with asyncio.timeout(seconds):
                status = _number(await reader.readline())
                while await reader.read(READ_BYTES):
                    await asyncio.sleep(READ_PAUSE)
        writer.transport.abort()
        return status

    return Counter(await asyncio.gather(*(read() for _ in range(READERS))))


async def many(targets: Sequence[Target], connections: int, seconds: float) -> Answers:
    """Keeps so many connections for each target busy."""
    replies = await asyncio.gather(*(closed_loop(target, connections, seconds) for target in targets))
    return statuses([reply for each in replies for reply in each])


async def calls(grpc_url: str, image: bytes, text: str, number: int) -> Answers:
    """So many calls at once over gRPC."""
    async with AsyncClient(grpc_url, timeout=None) as client:
        return Counter(await asyncio.gather(*(_named(client.segment(image, text)) for _ in range(number))))


async def _named(call: Coroutine[Any, Any, object]) -> Status:
    try:
        await call
    except ConcordClientError as error:
        return type(error).__name__
    return "OK"


def _head(target: Target, header: str) -> bytes:
    """The head of a target's request, with this header in place of the length of its body."""
    head = target.request.partition(b"\r\n\r\n")[0].split(b"\r\n")
    kept = [line for line in head if not line.lower().startswith(b"content-length:")]
    return b"\r\n".join([*kept, header.encode(), b"", b""])


async def _status(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, seconds: float) -> Status:
    """The status of an answer; `LOST` if there was none in this time."""
    try:
        async with asyncio.timeout(seconds):
            return _number(await reader.readline())
    except (TimeoutError, OSError):
        return LOST
    finally:
        writer.transport.abort()


def _number(line: bytes) -> Status:
    return int(line.split()[1]) if line.startswith(b"HTTP/") else LOST
