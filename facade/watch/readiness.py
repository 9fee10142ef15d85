"""Whether requests are answered now, found out by asking."""

import asyncio
import time
from contextlib import suppress
from typing import Self

import structlog

from facade.work.probe import Prober

_SOON = 1.0
_log = structlog.get_logger("facade.watch.readiness")


class Readiness:
    """Probes in the background of one event loop; used as an asynchronous context manager.

    Args:
        interval: seconds between two probes; after one that failed the next comes sooner.
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
            _log.error("the probe failed", exc_info=error)
            return False
