"""Whether requests are answered now, found out with the smallest that the server takes."""

import asyncio
import time
from contextlib import suppress
from typing import Self

import structlog

from concord_client import AsyncClient, tracing
from concord_client.errors import ConcordClientError
from concord_client.tasks import TASKS
from facade.work.admission import MARGIN, Admission
from facade.work.catalogue import Models
from facade.work.requests import smallest

_PROBE_SECONDS = 10.0
_SOON = 1.0


class Prober:
    """Asks the server, unless something was answered lately.

    A probe goes on when nobody waits for it any more. An answer counts for `interval` seconds.
    """

    def __init__(self, client: AsyncClient, models: Models, admission: Admission, interval: float) -> None:
        self._client = client
        self._models = models
        self._admission = admission
        self._interval = interval
        self._answered = -float("inf")
        self._probing: asyncio.Task[bool] | None = None

    def note_answer(self) -> None:
        self._answered = time.monotonic()

    def doubt(self) -> None:
        """What was answered lately no longer counts."""
        self._answered = -float("inf")

    async def __call__(self, *, now: bool = False) -> bool:
        """Whether something was answered lately, or is answered now; `now` asks whatever was answered lately."""
        if not now and time.monotonic() - self._answered < self._interval:
            return True
        if self._probing is None or self._probing.done():
            with tracing.untraced():
                self._probing = self._admission.start(self.ask())
        await asyncio.wait([self._probing], timeout=_PROBE_SECONDS)
        return self._probing.done() and self._probing.result()

    async def ask(self) -> bool:
        """Whether the request that costs least is answered: without steps, without texts, the smallest."""
        tasks = {task.TASK: task for task in TASKS}
        pipeline = None
        try:
            await self._models.refresh()
            pipelines = [each for each in self._models.visible().pipelines if each.task in tasks]
            if not pipelines:
                return False
            found = [(pipeline, *smallest(tasks[pipeline.task], pipeline)) for pipeline in pipelines]
            pipeline, request, settings = min(
                found, key=lambda each: (each[0].has_steps, sum(field.kind == "text" for field in each[1].given()))
            )
            await self._client.run(request, model=pipeline.model, settings=settings, timeout=MARGIN)
        except ConcordClientError:
            # Unless it was unloaded meanwhile.
            return pipeline is not None and pipeline not in self._models.visible().pipelines and await self.ask()
        self.note_answer()
        return True


class Readiness:
    """Probes in the background of one event loop, for as long as its context runs.

    The interval is in seconds; after a probe that failed the next comes sooner.
    """

    def __init__(self, probe: Prober, interval: float) -> None:
        self._probe = probe
        self._interval = interval
        self._answered = -float("inf")
        self._doubts = asyncio.Event()
        self._stopping = False
        self._task: asyncio.Task[None] | None = None

    @property
    def ready(self) -> bool:
        """Whether a probe was answered lately, none has failed since, and the facade is not stopping."""
        return not self._stopping and time.monotonic() - self._answered < 3 * self._interval + _SOON

    def doubt(self) -> None:
        """Something failed that should not have: the next probe is made at once."""
        self._doubts.set()

    def stop(self) -> None:
        """From now on it is not ready, whatever probes say."""
        self._stopping = True

    async def __aenter__(self) -> Self:
        self._task = asyncio.create_task(self._poll())
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._task is not None:
            self._task.cancel()
            with suppress(asyncio.CancelledError):
                await self._task

    async def _poll(self) -> None:
        while True:
            doubtful = self._doubts.is_set()
            self._doubts.clear()
            answered = await self._ask(doubtful)
            self._answered = time.monotonic() if answered else -float("inf")
            with suppress(TimeoutError):
                async with asyncio.timeout(self._interval if answered else min(_SOON, self._interval)):
                    await self._doubts.wait()

    async def _ask(self, now: bool) -> bool:
        try:
            return await self._probe(now=now)
        except Exception as error:
            structlog.get_logger("facade.watch.readiness").error("the probe failed", exc_info=error)
            return False
