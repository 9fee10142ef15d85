"""Answers that are sent while they are made, and server-sent events among them; what they use ends with them."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import AsyncExitStack
from dataclasses import dataclass
from typing import TypeAlias

import structlog
from fastapi.sse import format_sse_event
from pydantic import BaseModel
from starlette.requests import Request
from starlette.responses import StreamingResponse
from starlette.types import Receive, Scope, Send

from facade.problems import Problem, Shape, problem_of, request_id
from facade.wire.caller import while_connected
from facade.wire.pieces import Pieces, in_turns

MEDIA_TYPE = "text/event-stream"
PING_SECONDS = 15.0

Events: TypeAlias = "asyncio.Queue[Pieces | Problem | None]"


@dataclass(frozen=True)
class Emit:
    """Sends the events of a stream."""

    events: Events

    def __call__(self, name: str, told: BaseModel) -> None:
        """Sends one: its name, and what it tells as JSON."""
        self.events.put_nowait(_event(name, told))

    async def taken(self) -> None:
        """Returns when the client has been sent all of them; for work that could run far ahead of a slow one."""
        await self.events.join()


class OwnedStream(StreamingResponse):
    """A streamed answer that closes what it uses when it has ended, however it ends."""

    def __init__(
        self,
        content: AsyncIterator[bytes | memoryview],
        resources: AsyncExitStack,
        headers: Mapping[str, str],
        media_type: str,
    ) -> None:
        super().__init__(content, headers=headers, media_type=media_type)
        self._resources = resources

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await super().__call__(scope, receive, send)
        finally:
            await self._resources.aclose()


async def event_stream(
    request: Request,
    produce: Callable[[Emit], Awaitable[None]],
    resources: AsyncExitStack,
    headers: Mapping[str, str],
    shape: Shape = Problem.details,
) -> OwnedStream:
    """Begins work in a task of its own, and answers with its events; the work ends when the client goes.

    The work is not begun for a client that has already left.

    Args:
        produce: does the work and emits its events; a problem that it raises becomes the last of them.
        resources: closed when the stream has ended, however it ends.
        shape: of what the event ``error`` tells.

    Raises:
        Problem: the work failed before its first event: this is the answer, with its own status; or it was not begun.
    """
    events: Events = asyncio.Queue()

    async def run() -> None:
        try:
            await produce(Emit(events))
        except Exception as error:
            if not isinstance(error, Problem):
                structlog.get_logger().error("failed", exc_info=error, request_id=request_id(request.scope))
            events.put_nowait(problem_of(error))
        events.put_nowait(None)

    def told(problem: Problem) -> Pieces:
        request.state.problem = problem.code
        return _event("error", shape(problem, request_id(request.scope)), exclude_none=True)

    async def stream(event: Pieces | Problem | None) -> AsyncIterator[bytes | memoryview]:
        while event is not None:
            async for piece in in_turns(iter(told(event) if isinstance(event, Problem) else event)):
                yield piece
            events.task_done()
            waiting = True
            while waiting:
                try:
                    async with asyncio.timeout(PING_SECONDS):
                        event, waiting = await events.get(), False
                except TimeoutError:
                    yield format_sse_event(comment="waiting")

    async def end(work: "asyncio.Task[None]") -> None:
        work.cancel()
        await asyncio.wait([work])

    try:
        async with while_connected(request):
            resources.push_async_callback(end, asyncio.create_task(run()))
            first = await events.get()
        if isinstance(first, Problem):
            raise first
    except BaseException:
        await resources.aclose()
        raise
    no_buffers = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}
    return OwnedStream(stream(first), resources, {**no_buffers, **headers}, MEDIA_TYPE)


def _event(name: str, told: BaseModel, **options: bool) -> Pieces:
    return Pieces.of(told, lambda json: format_sse_event(event=name, data_str=json), **options)
