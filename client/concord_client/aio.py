"""The asyncio client."""

import asyncio
from collections.abc import Awaitable, Callable, Collection, Iterable, Mapping
from typing import Self, TypeVar

from concord_client.calls import Calls
from concord_client.cancellation import Cancellation
from concord_client.diffusion import Diffusion
from concord_client.inference import Wish
from concord_client.settings import SettingValue
from concord_client.steps import OnStep
from concord_client.tasks.fields import Encoded, read_encoded
from concord_client.tasks.harmonize import Harmonize, Harmonized
from concord_client.tasks.request import A, Request
from concord_client.tasks.segment import Segment, Segmented
from concord_client.transport import Transport

S = TypeVar("S")
T = TypeVar("T")
_TOGETHER = 8
"""Questions about models that are under way at a time."""


class AsyncClient(Calls):
    """`concord_client.Client` for asyncio: the same calls, arguments and errors.

    To be made anywhere and used in one event loop. Cancelling the task that awaits a call cancels the call, on the
    server too.
    """

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
        return await self._run(Wish(request, model, settings, on_step, without, timeout, headers))

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

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    def _open(self) -> Transport:
        if self.address.protocol == "grpc":
            from concord_client.grpc_transport import AsyncGrpcTransport

            return AsyncGrpcTransport(self.address)
        from concord_client.http_transport import AsyncHttpTransport

        return AsyncHttpTransport(self.address)

    async def _read(self, source: Encoded) -> bytes:
        return source if isinstance(source, bytes) else await asyncio.to_thread(read_encoded, source)

    async def _sleep(self, seconds: float, cancellation: Cancellation) -> None:
        await asyncio.sleep(seconds)

    async def _each(self, items: Iterable[S], ask: Callable[[S], Awaitable[T]]) -> list[T]:
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
