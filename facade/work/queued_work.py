"""Work that waits for its turn, and keeps its place until Triton has ended it, whoever still waits for the answer."""

import asyncio
import time
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

from facade.problems import Problem
from facade.settings import LONGEST
from facade.work.admission import Admission, OnPosition

T = TypeVar("T")
MARGIN = 60.0
"""Seconds that Triton is given beyond a deadline: where one passes amid an ensemble, its gRPC frontend can crash."""


class Turns:
    """Does work in the order of an admission's queues.

    Args:
        admission: gives the places.
    """

    def __init__(self, admission: Admission) -> None:
        self._admission = admission
        self._working: set[asyncio.Task[Any]] = set()

    async def take(
        self,
        model: str,
        seconds: float,
        ask: Callable[[float], Coroutine[Any, Any, T]],
        *,
        stops: bool = False,
        on_position: OnPosition | None = None,
    ) -> tuple[T, dict[str, float]]:
        """Waits for a place, then asks; the answer, and the seconds it took as ``queued`` and ``inference``.

        Args:
            model: that is asked.
            seconds: after which nobody waits any more.
            ask: the work, given the seconds it may take.
            stops: whether work that is cancelled stops in Triton. What has entered an ensemble does not: it runs to its
                end, and would stand in the way of what is sent after it; so it is left alone and keeps its place.
            on_position: is told of the place in the queue.

        Raises:
            Problem: the queue is full, or the time is over.
        """
        arrived, began = time.monotonic(), None
        try:
            async with asyncio.timeout(seconds):
                place = await self._admission.take(model, on_position)
                began = time.monotonic()
                work = self.start(ask(min(seconds - (began - arrived) + MARGIN, LONGEST)), place.leave)
                try:
                    answer = await asyncio.shield(work)
                except asyncio.CancelledError:
                    if stops:
                        work.cancel()
                    raise
        except TimeoutError:
            waited = "" if began else ", all of them in the queue"
            raise Problem("deadline_exceeded", f"not answered within {seconds:g} s{waited}") from None
        return answer, {"queued": began - arrived, "inference": time.monotonic() - began}

    def start(self, work: Coroutine[Any, Any, T], ended: Callable[[], object] = lambda: None) -> asyncio.Task[T]:
        """Has work done whether or not somebody still waits for it, and something after it."""
        task = asyncio.create_task(work)
        self._working.add(task)

        def end(task: asyncio.Task[T]) -> None:
            self._working.discard(task)
            ended()
            if not task.cancelled():
                # Looked at, so that asyncio does not complain where nobody waited for it.
                task.exception()

        task.add_done_callback(end)
        return task

    def close(self) -> None:
        """Gives up what is being worked on."""
        for task in self._working:
            task.cancel()
