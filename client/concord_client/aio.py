"""The asyncio client."""

import asyncio
from collections.abc import Awaitable, Callable, Collection, Iterable, Mapping
from types import TracebackType
from typing import Any, Self, TypeVar, cast

from concord_client.calls import READY_PROBE_TIMEOUT, Calls, Wish
from concord_client.catalogue import DEFAULT_DEADLINE, Catalogue
from concord_client.diffusion import Diffusion
from concord_client.operations import (
    Call,
    Configure,
    Describe,
    Index,
    Infer,
    InferSteps,
    Operation,
    Read,
    Ready,
    Sleep,
)
from concord_client.repository import Model
from concord_client.retry import Retry
from concord_client.settings import SettingValue
from concord_client.steps import OnStep
from concord_client.tasks.fields import Encoded, read_encoded
from concord_client.tasks.harmonize import Harmonize, Harmonized
from concord_client.tasks.request import A, Request
from concord_client.tasks.segment import Segment, Segmented
from concord_client.transport import Address, AsyncStreamingTransport, AsyncTransport, ProtocolName

S = TypeVar("S")
T = TypeVar("T")
_TOGETHER = 8
"""Questions about models that are under way at a time."""


class AsyncClient:
    """`concord_client.Client` for asyncio: the same calls, arguments and errors.

    To be made anywhere and used in one event loop. Cancelling the task that awaits a call cancels the call, on the
    server too.

    Args:
        url: as for `Client`, like the other arguments.
        protocol: ``grpc``, or ``http``.
        timeout: seconds a call may take, retries included; None for what the model declares.
        retry: when and how often a call that found the server unavailable is tried again.

    Raises:
        ValueError: an address or protocol that cannot be.
    """

    def __init__(
        self,
        url: str | None = None,
        *,
        protocol: ProtocolName = "grpc",
        timeout: float | None = None,
        retry: Retry = Retry(),  # noqa: B008 - frozen
    ) -> None:
        self.address = Address.of(url, protocol)
        self._calls = Calls(self.address, timeout, retry)
        self._opened: AsyncTransport | None = None

    async def run(
        self,
        request: Request[A],
        *,
        model: str | None = None,
        settings: Mapping[str, SettingValue] | None = None,
        on_step: OnStep | None = None,
        without: Collection[str] = (),
        timeout: float | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> A:
        """See `Client.run`; files are read in a thread, and on_step is called in the event loop."""
        wish = Wish(request, model, settings or {}, on_step, without, headers or {})
        return await self._do(self._calls.run(wish, timeout))

    async def harmonize(
        self,
        image: Encoded,
        *,
        text: str | None = None,
        mask: Encoded | None = None,
        model: str | None = None,
        settings: Mapping[str, SettingValue] | None = None,
        diffusion: Diffusion | None = None,
        on_step: OnStep | None = None,
        return_mask: bool = True,
        timeout: float | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> Harmonized:
        """See `Client.harmonize`."""
        return await self.run(
            Harmonize(image, text=text, mask=mask),
            model=model,
            settings={**(settings or {}), **(diffusion.given() if diffusion else {})},
            on_step=on_step,
            without=() if return_mask else ("mask",),
            timeout=timeout,
            headers=headers,
        )

    async def segment(
        self,
        image: Encoded,
        text: str,
        *,
        model: str | None = None,
        settings: Mapping[str, SettingValue] | None = None,
        timeout: float | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> Segmented:
        """See `Client.segment`."""
        return await self.run(Segment(image, text), model=model, settings=settings, timeout=timeout, headers=headers)

    async def catalogue(self, *, max_age: float | None = None, timeout: float | None = None) -> Catalogue:
        """See `Client.catalogue`."""
        return await self._do(self._calls.catalogue(max_age, timeout))

    async def models(self, *, timeout: float | None = None) -> list[Model]:
        """See `Client.models`."""
        return await self._do(self._calls.models(timeout))

    async def ready(self, *, timeout: float = READY_PROBE_TIMEOUT) -> bool:
        """See `Client.ready`."""
        return await self._do(self._calls.ready(timeout))

    async def wait_until_ready(self, timeout: float = DEFAULT_DEADLINE) -> None:
        """See `Client.wait_until_ready`."""
        await self._do(self._calls.wait_until_ready(timeout))

    async def close(self) -> None:
        """Ends the connection."""
        if self._opened is not None:
            await self._opened.close()
            self._opened = None

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.close()

    @property
    def _transport(self) -> AsyncTransport:
        # Both protocols bind to the running event loop, which is there at the first call and not at construction.
        if self._opened is None:
            self._opened = _open_transport(self.address)
        return self._opened

    async def _do(self, call: Call[T]) -> T:
        try:
            operation = next(call)
            while True:
                try:
                    done = await self._perform(operation)
                except BaseException as error:
                    operation = call.throw(error)
                else:
                    operation = call.send(done)
        except StopIteration as end:
            return cast(T, end.value)

    async def _perform(self, operation: Operation) -> Any:
        match operation:
            case Infer(inference, deadline):
                return await self._transport.infer(inference, deadline.left)
            case InferSteps(inference, deadline, receive):
                transport = cast(AsyncStreamingTransport, self._transport)
                return await transport.infer_steps(inference, deadline.left, receive)
            case Ready(deadline):
                return await self._transport.ready(deadline.left)
            case Index(deadline):
                return await self._transport.index(deadline.left)
            case Describe(models, deadline):
                return await _each(models, lambda model: self._transport.describe(model, deadline.left))
            case Configure(models, deadline):
                return await _each(models, lambda model: self._transport.config(model, deadline.left))
            case Read(source):
                return source if isinstance(source, bytes) else await asyncio.to_thread(read_encoded, source)
            case Sleep(seconds):
                return await asyncio.sleep(seconds)


async def _each(items: Iterable[S], ask: Callable[[S], Awaitable[T]]) -> list[T]:
    """Asks about each item, a few at a time; the first error ends it."""
    places = asyncio.Semaphore(_TOGETHER)

    async def asked(item: S) -> T:
        async with places:
            return await ask(item)

    try:
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(asked(item)) for item in items]
    except ExceptionGroup as failed:
        raise failed.exceptions[0] from None
    return [task.result() for task in tasks]


def _open_transport(address: Address) -> AsyncTransport:
    if address.protocol == "grpc":
        from concord_client.grpc_transport import AsyncGrpcTransport

        return AsyncGrpcTransport(address)
    from concord_client.http_transport import AsyncHttpTransport

    return AsyncHttpTransport(address)
