"""The asyncio client."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import replace
from types import TracebackType
from typing import Self, TypeVar

from concord_client.client import DEFAULT_TIMEOUT, DIFFUSION_TIMEOUT, READY_INTERVAL, READY_PROBE_TIMEOUT
from concord_client.diffusion import (
    Diffusion,
    Harmonizer,
    OnStep,
    Steps,
    diffuse_question,
    is_diffusion,
    with_deadline,
)
from concord_client.errors import DeadlineExceeded, Unavailable
from concord_client.pipelines import (
    Answer,
    Encoded,
    Harmonized,
    Question,
    Segmented,
    harmonize_question,
    read_encoded,
    read_harmonized,
    read_segmented,
    segment_question,
)
from concord_client.repository import Model
from concord_client.retry import Retry
from concord_client.transport import Address, AsyncTransport, ProtocolName

T = TypeVar("T")


class AsyncClient:
    """`concord_client.Client` for asyncio: the same calls, arguments and errors.

    To be made anywhere and used in one event loop. Cancelling the task that awaits a call cancels the call, on the
    server too.

    Args:
        url: as for `Client`, like the other arguments.
        protocol: ``grpc``, or ``http``.
        timeout: seconds a call may take, retries included; None for 60, and 600 for diffusion.
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
        self._timeout = timeout
        self._retry = retry
        self._opened: AsyncTransport | None = None

    async def harmonize(
        self,
        image: Encoded,
        *,
        text: str | None = None,
        mask: Encoded | None = None,
        model: Harmonizer = "dht",
        diffusion: Diffusion | None = None,
        on_step: OnStep | None = None,
        return_mask: bool = True,
        timeout: float | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> Harmonized:
        """See `Client.harmonize`; files are read in a thread, and on_step is called in the event loop."""
        diffuses = is_diffusion(model, diffusion, on_step)
        encoded_image = await _read(image)
        encoded_mask = None if mask is None else await _read(mask)
        if not diffuses:
            question = harmonize_question(encoded_image, text, encoded_mask, return_mask)
            return read_harmonized(await self._infer(replace(question, headers=headers or {}), timeout))
        question = diffuse_question(encoded_image, text, encoded_mask, return_mask, diffusion or Diffusion())
        question = replace(question, headers=headers or {})
        return read_harmonized(await self._infer_steps(question, Steps(on_step), timeout))

    async def segment(
        self,
        image: Encoded,
        text: str,
        *,
        timeout: float | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> Segmented:
        """See `Client.segment`."""
        question = segment_question(await _read(image), text)
        return read_segmented(await self._infer(replace(question, headers=headers or {}), timeout))

    async def models(self, *, timeout: float | None = None) -> list[Model]:
        """See `Client.models`."""

        async def describe(remaining: Callable[[], float]) -> list[Model]:
            return [
                await self._transport.describe(model, remaining()) if model.ready else model
                for model in await self._transport.index(remaining())
            ]

        return await self._call(describe, timeout)

    async def ready(self, *, timeout: float = READY_PROBE_TIMEOUT) -> bool:
        """See `Client.ready`."""
        try:
            return await self._transport.ready(timeout)
        except (Unavailable, DeadlineExceeded):
            return False

    async def wait_until_ready(self, timeout: float = DEFAULT_TIMEOUT) -> None:
        """See `Client.wait_until_ready`."""
        deadline = asyncio.get_running_loop().time() + timeout
        while True:
            problem = Unavailable(f"the server at {self.address.url} was not ready within {timeout:g} s")
            try:
                if await self._transport.ready(min(READY_PROBE_TIMEOUT, timeout)):
                    return
            except Unavailable as error:
                problem = error
            except DeadlineExceeded:
                pass
            if asyncio.get_running_loop().time() + READY_INTERVAL >= deadline:
                raise problem
            await asyncio.sleep(READY_INTERVAL)

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

    async def _infer(self, question: Question, timeout: float | None) -> Answer:
        return await self._call(lambda remaining: self._transport.infer(question, remaining()), timeout)

    async def _infer_steps(self, question: Question, steps: Steps, timeout: float | None) -> Answer:
        async def ask(remaining: Callable[[], float]) -> Answer:
            timed = with_deadline(question, remaining())
            await self._transport.infer_steps(timed, remaining(), steps.receive)
            return steps.harmonized

        return await self._call(ask, timeout, DIFFUSION_TIMEOUT, lambda: not steps.begun)

    async def _call(
        self,
        ask: Callable[[Callable[[], float]], Awaitable[T]],
        timeout: float | None,
        default_timeout: float = DEFAULT_TIMEOUT,
        may_retry: Callable[[], bool] = lambda: True,
    ) -> T:
        clock = asyncio.get_running_loop().time
        timeout = next(seconds for seconds in (timeout, self._timeout, default_timeout) if seconds is not None)
        deadline = clock() + timeout
        failures = 0
        while True:
            try:
                return await ask(lambda: max(deadline - clock(), 0.0))
            except DeadlineExceeded:
                raise DeadlineExceeded(timeout) from None
            except Unavailable:
                failures += 1
                delay = self._retry.delay(failures, deadline - clock())
                if delay is None or not may_retry():
                    raise
            await asyncio.sleep(delay)


async def _read(source: Encoded) -> bytes:
    return source if isinstance(source, bytes) else await asyncio.to_thread(read_encoded, source)


def _open_transport(address: Address) -> AsyncTransport:
    if address.protocol == "grpc":
        from concord_client.grpc_transport import AsyncGrpcTransport

        return AsyncGrpcTransport(address)
    from concord_client.http_transport import AsyncHttpTransport

    return AsyncHttpTransport(address)
