"""Server-sent events: a job of its own for each stream, which ends when its client goes."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import AsyncExitStack
from typing import Any, Self, TypeAlias

import structlog
from fastapi.sse import format_sse_event
from pydantic import BaseModel
from starlette.requests import Request
from starlette.responses import StreamingResponse
from starlette.types import Receive, Scope, Send

from facade.problems import Problem, Shape, request_id
from facade.translation import problem_of

MEDIA_TYPE = "text/event-stream"
PING_SECONDS = 15.0


class Emit:
    """Sends the events of a stream."""

    def __init__(self, events: "asyncio.Queue[bytes | Problem | None]") -> None:
        self._events = events

    def __call__(self, name: str, told: BaseModel) -> None:
        """Sends one: its name, and what it tells as JSON."""
        self._events.put_nowait(format_sse_event(event=name, data_str=told.model_dump_json()))

    async def taken(self) -> None:
        """Returns when the client has been sent all of them; for work that could run far ahead of a slow one."""
        await self._events.join()


Produce: TypeAlias = Callable[[Emit], Awaitable[None]]
"""Does the work of a stream and emits its events; a problem that it raises becomes the last of them."""


def described(events: Mapping[str, dict[str, Any]], example: str) -> dict[str, Any]:
    """OpenAPI's description of a stream of events; any event stream may end with ``error``.

    Args:
        events: the schema of each event's JSON by the event's name.
        example: of a stream.
    """
    return {"itemSchema": {"oneOf": [_described(name, schema) for name, schema in events.items()]}, "example": example}


def _described(name: str, schema: dict[str, Any]) -> dict[str, Any]:
    data = {"type": "string", "contentMediaType": "application/json", "contentSchema": schema}
    event = {"type": "string", "const": name}
    return {"type": "object", "properties": {"event": event, "data": data}, "required": ["event", "data"]}


class EventStream(StreamingResponse):
    """The events of one piece of work.

    Made by `open`, which waits for the first event: a problem that comes before it is the answer, with its own status,
    and no stream is begun.
    """

    def __init__(
        self,
        request: Request,
        produce: Produce,
        resources: AsyncExitStack,
        headers: Mapping[str, str],
        shape: Shape,
    ) -> None:
        self._request = request
        self._shape = shape
        self._resources = resources
        self._events: asyncio.Queue[bytes | Problem | None] = asyncio.Queue()
        self._first: bytes | Problem | None = None
        self._work = asyncio.create_task(self._run(produce))
        no_buffers = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}
        super().__init__(self._stream(), headers={**no_buffers, **headers}, media_type=MEDIA_TYPE)

    @classmethod
    async def open(
        cls,
        request: Request,
        produce: Produce,
        resources: AsyncExitStack,
        *,
        headers: Mapping[str, str] | None = None,
        shape: Shape = Problem.details,
    ) -> Self:
        """Begins the work.

        Args:
            request: that is answered.
            produce: the work.
            resources: closed when the stream has ended, however it ends.
            headers: of the answer.
            shape: of what the event ``error`` tells.

        Raises:
            Problem: the work failed before its first event.
        """
        stream = cls(request, produce, resources, headers or {}, shape)
        try:
            stream._first = await stream._events.get()
            if isinstance(stream._first, Problem):
                raise stream._first
        except BaseException:
            await stream.close()
            raise
        return stream

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Sends the events as they come, until they end or the client goes."""
        try:
            await super().__call__(scope, receive, send)
        finally:
            await self.close()

    async def close(self) -> None:
        """Ends the work, if it has not ended, and lets go of what it used."""
        self._work.cancel()
        await asyncio.wait([self._work])
        await self._resources.aclose()

    async def _run(self, produce: Produce) -> None:
        try:
            await produce(Emit(self._events))
        except Exception as error:
            if not isinstance(error, Problem):
                structlog.get_logger().error("failed", exc_info=error, request_id=request_id(self._request.scope))
            self._events.put_nowait(problem_of(error))
        self._events.put_nowait(None)

    async def _stream(self) -> AsyncIterator[bytes]:
        event = self._first
        while event is not None:
            yield event if isinstance(event, bytes) else self._error(event)
            self._events.task_done()
            waiting = True
            while waiting:
                try:
                    async with asyncio.timeout(PING_SECONDS):
                        event, waiting = await self._events.get(), False
                except TimeoutError:
                    yield format_sse_event(comment="waiting")

    def _error(self, problem: Problem) -> bytes:
        scope: dict[str, Any] = self._request.scope  # type: ignore[assignment]
        scope.setdefault("state", {})["problem"] = problem.code
        body = self._shape(problem, request_id(self._request.scope))
        return format_sse_event(event="error", data_str=body.model_dump_json(exclude_none=True))
