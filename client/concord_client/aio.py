"""The asyncio client, whose coroutines the blocking client shares."""

import asyncio
import threading
import time
from collections.abc import Awaitable, Callable, Collection, Iterable, Mapping
from dataclasses import replace
from typing import ClassVar, Self, TypeVar, cast

from concord_client import tracing
from concord_client.cancellation import Cancellation, Deadline
from concord_client.catalogue import DEFAULT_DEADLINE, Catalogue, Pipeline
from concord_client.errors import DeadlineExceeded, InvalidInput, Lost, ModelNotFound, Unavailable, Unreachable
from concord_client.inference import Inference, OnLost, Wish, untold
from concord_client.losses import Losses, reloads_of
from concord_client.repository import Model
from concord_client.retry import Retry
from concord_client.settings import Diffusion, SettingValue, Value, encode_numbers, encode_text
from concord_client.steps import OnStep, Steps
from concord_client.tasks.fields import Encoded, Numbers, Tensors, read_encoded
from concord_client.tasks.harmonize import Harmonize, Harmonized
from concord_client.tasks.request import A, Request
from concord_client.tasks.segment import Segment, Segmented
from concord_client.tasks.select import Select, Selected
from concord_client.together import Together
from concord_client.transport import Address, ProtocolName, StreamingTransport, Transport

READY_PROBE_TIMEOUT = 5.0
READY_INTERVAL = 0.2
DOUBT_INTERVAL = 1.0
"""Seconds after which what a client knows of its server is asked again before a request is refused because of it."""

S = TypeVar("S")
T = TypeVar("T")
_TOGETHER = 8
"""Questions about models that are under way at a time."""


class AsyncClient:
    """`concord_client.Client` for asyncio: the same calls, arguments and errors.

    To be made anywhere and used in one event loop. Cancelling the task that awaits a call cancels the call, on the
    server too.
    """

    _blocking: ClassVar[bool] = False

    def __init__(
        self,
        url: str | None = None,
        *,
        protocol: ProtocolName = "grpc",
        timeout: float | None = None,
        retry: Retry = Retry(),  # noqa: B008 - frozen
    ) -> None:
        self.address = Address.of(url, protocol)
        self._attributes = self.address.attributes()
        self._timeout = timeout
        self._retry = retry
        self._opened: Transport | None = None
        self._opening = threading.Lock()
        self._catalogue: Catalogue | None = None
        self._asked = -float("inf")
        self._listing = Together(blocking=self._blocking)
        self._reloads: dict[str, str] = {}

    async def run(
        self,
        request: Request[A],
        *,
        model: str | None = None,
        settings: Mapping[str, SettingValue] | None = None,
        on_step: OnStep | None = None,
        on_lost: OnLost | None = None,
        without: Collection[str] = (),
        timeout: float | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> A:
        """See `Client.run`; files are read in a thread, and on_step and on_lost are called in the event loop."""
        return await self._run(Wish(request, model, settings, on_step, on_lost or untold, without, timeout, headers))

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

    async def select(
        self,
        image: Encoded,
        *,
        points: Numbers | None = None,
        box: Numbers | None = None,
        model: str | None = None,
        settings: Mapping[str, SettingValue] | None = None,
        timeout: float | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> Selected:
        """See `Client.select`."""
        request = Select(image, points=points, box=box)
        return await self.run(request, model=model, settings=settings, timeout=timeout, headers=headers)

    async def catalogue(self, *, max_age: float | None = None, timeout: float | None = None) -> Catalogue:
        """See `Client.catalogue`."""
        return await self._known(self._deadline(timeout), max_age)

    async def models(self, *, timeout: float | None = None) -> list[Model]:
        """See `Client.models`."""
        deadline = self._deadline(timeout)

        async def attempt() -> list[Model]:
            models = await self._transport.models(deadline)
            return await self._each(models, lambda model: self._transport.describe(model, deadline))

        return await self._persisting(attempt, deadline)

    async def ready(self, *, timeout: float = READY_PROBE_TIMEOUT) -> bool:
        """See `Client.ready`."""
        try:
            return await self._transport.ready(Deadline(timeout))
        except (Unavailable, DeadlineExceeded):
            return False

    async def wait_until_ready(self, timeout: float = DEFAULT_DEADLINE) -> None:
        """See `Client.wait_until_ready`."""
        deadline = Deadline(timeout)
        while True:
            problem = Unavailable(f"the server at {self.address.url} was not ready within {timeout:g} s")
            try:
                if await self._transport.ready(Deadline(min(READY_PROBE_TIMEOUT, timeout))):
                    return
            except Unavailable as error:
                problem = error
            except DeadlineExceeded:
                pass
            if deadline.left <= READY_INTERVAL:
                raise problem
            await self._sleep(READY_INTERVAL, deadline.cancellation)

    async def close(self) -> None:
        """Ends the connection."""
        if self._opened is not None:
            await self._opened.close()
            self._opened = None

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    @property
    def _transport(self) -> Transport:
        # Those for asyncio bind to the running event loop, which is there at the first call and not at construction.
        with self._opening:
            self._opened = self._opened or _open(self.address, blocking=self._blocking)
            return self._opened

    async def _read(self, source: Encoded) -> bytes:
        return source if isinstance(source, bytes) else await asyncio.to_thread(read_encoded, source)

    async def _sleep(self, seconds: float, cancellation: Cancellation) -> None:
        await asyncio.sleep(seconds)

    async def _each(self, items: Iterable[S], ask: Callable[[S], Awaitable[T]]) -> list[T]:
        """What is answered to each item; the first error ends it."""
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

    async def _run(self, wish: Wish[A]) -> A:
        with tracing.span(wish.request.TASK, headers=wish.headers):
            return await self._served(wish)

    async def _served(self, wish: Wish[A]) -> A:
        deadline = self._deadline(wish.timeout, wish.cancellation)
        deadline.cancellation.wait(0)
        inputs: dict[str, Value] = {}
        for each in wish.request.given():
            value = getattr(wish.request, each.name)
            if each.kind == "image":
                inputs[each.tensor] = await self._read(value)
            else:
                inputs[each.tensor] = encode_text(value) if each.kind == "text" else encode_numbers(each.tensor, value)
        answer_type = wish.request.answer_type()
        steps = Steps([each.tensor for each in answer_type.fields() if each.required], wish.on_step)
        pipeline, inference = await self._planned(wish, inputs, deadline)
        try:
            tensors = await self._answered(pipeline, inference, steps, deadline, wish.on_lost)
        except ModelNotFound:
            # The server has changed since it was asked for its catalogue.
            self._catalogue = None
            another, inference = await self._planned(wish, inputs, deadline)
            if steps.begun or another == pipeline:
                raise
            tensors = await self._answered(another, inference, steps, deadline, wish.on_lost)
        return answer_type.of(tensors)

    def _deadline(self, timeout: float | None, cancellation: Cancellation | None = None) -> Deadline:
        return Deadline(self._timeout if timeout is None else timeout, cancellation)

    async def _planned(
        self, wish: Wish[A], inputs: Mapping[str, Value], deadline: Deadline
    ) -> tuple[Pipeline, Inference]:
        """A plan by the catalogue; one that is refused is made again if the server has changed since."""
        catalogue = await self._known(deadline)
        try:
            return wish.plan(catalogue, inputs, streams=self.address.streams)
        except (ModelNotFound, InvalidInput):
            newer = await self._known(deadline, DOUBT_INTERVAL)
            if newer is catalogue:
                raise
            return wish.plan(newer, inputs, streams=self.address.streams)

    async def _answered(
        self, pipeline: Pipeline, inference: Inference, steps: Steps, deadline: Deadline, on_lost: OnLost
    ) -> Tensors:
        deadline.declare(pipeline.deadline)

        tracing.note({"concord.model": pipeline.model})

        async def attempt() -> Tensors:
            timed = inference.within(deadline.left) if pipeline.has_deadline else inference
            with tracing.span(f"infer {pipeline.name}", calls=True, attributes=self._attributes):
                traced = replace(timed, headers=tracing.carried(timed.headers))
                if not pipeline.streams:
                    return await self._transport.infer(traced, deadline)
                await cast(StreamingTransport, self._transport).infer_steps(traced, deadline, steps.receive)
                return steps.last

        failures, losses = 0, Losses(self._reloads)
        while True:
            deadline.cancellation.wait(0)
            try:
                return await attempt()
            except Unavailable as error:
                failures += 1
                # The server has told of its models, so it was there.
                lost = isinstance(error, Lost | Unreachable)
                delay = self._retry.delay(failures, deadline.left, lost=lost, retry_after=error.retry_after)
                if delay is None or (steps.begun and not lost):
                    raise
                if lost:
                    on_lost(error)
                    steps.begin_again()
                if isinstance(error, Lost) and await losses.too_many(error, self._transport, deadline, self._sleep):
                    raise
            await self._sleep(delay, deadline.cancellation)

    async def _known(self, deadline: Deadline, max_age: float | None = None) -> Catalogue:
        await self._listing.wait(deadline.left)
        known = self._catalogue
        if known is not None and (max_age is None or time.monotonic() - self._asked < max_age):
            return known

        async def attempt() -> Catalogue:
            asked = time.monotonic()
            names = dict.fromkeys(model.name for model in await self._transport.models(deadline))
            try:
                configs = await self._each(names, lambda name: self._transport.config(name, deadline))
            except ModelNotFound as error:
                raise Unavailable(f"{error.model!r} was unloaded while the server's models were listed") from None
            self._catalogue, self._asked = Catalogue.of(configs, readable=True), asked
            self._reloads |= {config["name"]: reloads_of(config) for config in configs}
            return self._catalogue

        with self._listing.doing(), tracing.span("catalogue"):
            return await self._persisting(attempt, deadline)

    async def _persisting(self, attempt: Callable[[], Awaitable[T]], deadline: Deadline) -> T:
        failures = 0
        while True:
            deadline.cancellation.wait(0)
            try:
                return await attempt()
            except Unavailable as error:
                failures += 1
                delay = self._retry.delay(failures, deadline.left, retry_after=error.retry_after)
                if delay is None:
                    raise
            await self._sleep(delay, deadline.cancellation)


def _open(address: Address, *, blocking: bool) -> Transport:
    # Imported where it is used, because HTTP's brings gevent and aiohttp along.
    if address.protocol == "grpc":
        from concord_client.grpc_transport import AsyncGrpcTransport, GrpcTransport

        return (GrpcTransport if blocking else AsyncGrpcTransport)(address)
    from concord_client.http_transport import AsyncHttpTransport, HttpTransport

    return (HttpTransport if blocking else AsyncHttpTransport)(address)
