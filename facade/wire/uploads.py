"""Bodies as they arrive: every byte is counted before it is kept, nothing is written to disk, nobody may take for ever.

A form is a pydantic model; its fields of type ``bytes`` or `NamedFile` are files, a ``list`` may be given several
times, and everything else is text that pydantic reads.
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Collection
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from functools import partial
from typing import Any, Protocol, TypeVar

from starlette.requests import Request

from concord_client import tracing
from facade.access.declared import ENVELOPE_BYTES
from facade.problems import Problem
from facade.settings import Settings
from facade.wire.forms import Form, Parts, rules_of, validated
from facade.wire.json_object import JsonObject
from facade.work.memory import Memory

RATE_STEP = 2**20
"""Bytes for which a slow client gets its time once more."""
_LINGER_SECONDS = 2.0


class Sink(Protocol):
    """Takes a body piece by piece."""

    def write(self, piece: bytes, /) -> Any: ...


TakesBody = TypeVar("TakesBody", bound=Sink)


class Uploads:
    """Reads the bodies of one application, which count in its memory."""

    def __init__(self, settings: Settings, memory: Memory) -> None:
        self._settings = settings
        self._memory = memory

    @asynccontextmanager
    async def form(
        self,
        request: Request,
        form: type[Form],
        extra: Collection[str] | None,
        *,
        max_bytes: int | None = None,
        max_file_bytes: int | None = None,
    ) -> AsyncIterator[Form]:
        """The form of a request, whose bytes count as held for as long as the block runs.

        Args:
            extra: names of texts that it may have besides, which are then in its ``model_extra``; None for any.
            max_bytes: of the body; None for what its files take.
            max_file_bytes: of a file; None for the settings' largest image.

        Raises:
            Problem: another content type, too many bytes, a field that is missing, double or unknown, a value that is
                not allowed; or the client was too slow or went away.
        """
        largest = max_file_bytes or self._settings.max_bytes
        files = sum(rule.is_file for rule in rules_of(form).values())
        made = partial(Parts, form, request.headers.get("content-type", ""), largest, extra)
        async with self.body(request, max_bytes or files * largest + ENVELOPE_BYTES, made) as parts:
            yield validated(form, parts.values())

    @asynccontextmanager
    async def json(self, request: Request, form: type[Form], extra: Collection[str]) -> AsyncIterator[Form]:
        """The same of a body that is a JSON object without files.

        Raises:
            Problem: as `form`.
        """
        made = partial(JsonObject, form, request.headers.get("content-type", ""), extra)
        async with self.body(request, ENVELOPE_BYTES, made) as sink:
            yield validated(form, sink.values())

    @asynccontextmanager
    async def body(self, request: Request, max_bytes: int, sink: Callable[[], TakesBody]) -> AsyncIterator[TakesBody]:
        """The sink, with a whole body in it, whose bytes count as held for as long as the block runs.

        Raises:
            Problem: too many bytes, or the sink's; or the client was too slow or went away.
        """
        holder = request.scope.get("state", {}).get("key", "")
        body = _Body(request, self._memory, holder, max_bytes)
        try:
            try:
                taken = sink()
                began = asyncio.get_running_loop().time()
                with tracing.span("read"):
                    await body.read(taken, self._settings.read_timeout)
                request.state.read = asyncio.get_running_loop().time() - began
            except Problem as problem:
                # Less than a connection waits for the rest of a body, which would be refused again then.
                await body.linger(min(_LINGER_SECONDS, self._settings.read_timeout / 2))
                if not body.ended:
                    problem.headers["Connection"] = "close"
                raise
            yield taken
        finally:
            self._memory.release(holder, body.received)


@dataclass
class _Body:
    """The body of one request.

    Attributes:
        holder: of the key it came with, empty without one.
        received: bytes that were counted.
        ended: whether nothing more is to come.
    """

    request: Request
    memory: Memory
    holder: str
    max_bytes: int
    received: int = 0
    ended: bool = False

    async def read(self, sink: Sink, timeout: float) -> None:
        """Hands on what comes, within the timeout in seconds, and as long again for every `RATE_STEP` bytes."""
        length = self.request.headers.get("content-length", "")
        if length.isdecimal() and int(length) > self.max_bytes:
            raise self._too_large()
        started = asyncio.get_running_loop().time()
        try:
            async with asyncio.timeout_at(started + timeout) as patience:
                while not self.ended:
                    sink.write(await self._receive())
                    patience.reschedule(started + timeout * (1 + self.received // RATE_STEP))
        except TimeoutError:
            raise Problem(
                "request_timeout",
                f"{self.received} bytes of the body came in time",
                allowed=f"{timeout:g} seconds, and as long again for every {RATE_STEP} bytes",
            ) from None

    async def linger(self, seconds: float) -> None:
        """Takes what is still being sent, for a moment: many clients read an answer only when they have sent all."""
        if "expect" in self.request.headers and not self.received:
            return
        left = self.max_bytes
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                while not self.ended and left > 0:
                    message = await self.request.receive()
                    left -= len(message.get("body", b""))
                    self.ended = not message.get("more_body", False)

    async def _receive(self) -> bytes:
        message = await self.request.receive()
        self.ended = not message.get("more_body", False)
        if message["type"] == "http.disconnect":
            raise Problem("cancelled", "the client went away")
        piece: bytes = message.get("body", b"")
        self.received += len(piece)
        self.memory.hold(self.holder, len(piece))
        if self.received > self.max_bytes:
            raise self._too_large()
        return piece

    def _too_large(self) -> Problem:
        return Problem("request_too_large", "the body is too large", allowed=f"at most {self.max_bytes} bytes")
