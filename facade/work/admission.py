"""Who may ask Triton now, who waits, and who is refused at once; and the work of those whose turn has come."""

import asyncio
import math
import time
from collections.abc import Awaitable, Callable, Coroutine, Mapping
from contextlib import AbstractContextManager
from typing import Any, TypeVar

from facade.problems import Problem
from facade.settings import LONGEST
from facade.work.lane import Lane, OnPosition, Place
from facade.work.memory import Room

T = TypeVar("T")

MARGIN = 60.0
"""Seconds that Triton is given beyond a deadline: where one passes amid an ensemble, its gRPC frontend can crash."""


class Admission:
    """Bounds how many requests of a model Triton is given at a time, and how many of each key's holder wait for that.

    Work keeps its place until Triton has ended it, whoever still waits for the answer.
    """

    def __init__(self, queue: int) -> None:
        self._lanes: dict[str, Lane] = {}
        self._queue = queue
        self._working: set[asyncio.Task[Any]] = set()

    def know(self, limits: Mapping[str, int]) -> None:
        """Makes a lane for each model that has none, given the requests that run at a time."""
        for model, limit in limits.items():
            self._lanes.setdefault(model, Lane(limit))

    @property
    def limits(self) -> Mapping[str, int]:
        """Requests that may run at a time, by model."""
        return {model: lane.limit for model, lane in self._lanes.items()}

    @property
    def waiting(self) -> Mapping[str, int]:
        """Requests that wait, by model."""
        return {model: lane.waiting for model, lane in self._lanes.items()}

    @property
    def running(self) -> Mapping[str, int]:
        """Requests that Triton was given, by model."""
        return {model: lane.running for model, lane in self._lanes.items()}

    async def take(
        self,
        model: str,
        on_position: OnPosition = lambda _: None,
        *,
        holder: str = "",
        is_ready: Callable[[], bool] = lambda: True,
    ) -> Place:
        """Waits for a place, see `Lane.take`; whoever has it is to leave it.

        Raises:
            Problem: the holder's queue is full; raised without waiting.
        """
        lane = self._lanes[model]

        def check() -> None:
            waiting = lane.waiting_of(holder) - 1
            if waiting >= self._queue:
                raise Problem(
                    "too_busy",
                    f"{lane.running} requests to {model} are being answered and {waiting} wait",
                    allowed=f"{lane.limit} requests to {model} at a time and {self._queue} that wait",
                    retry_after=math.ceil(lane.patience()),
                )

        return await lane.take(holder, is_ready=is_ready, on_position=on_position, check=check)

    def refuse(self, model: str, problem: Callable[[], Problem]) -> None:
        """Refuses those who wait for a model; what Triton was given goes on."""
        if lane := self._lanes.get(model):
            lane.refuse(problem)

    def look_again(self) -> None:
        """What those who wait need besides a place may have become free."""
        for lane in self._lanes.values():
            lane.hand_out()

    async def work(
        self,
        model: str,
        seconds: float,
        ask: Callable[[float], Coroutine[Any, Any, T]],
        *,
        before: Callable[[], Awaitable[int]],
        stops: bool,
        timed: Callable[[str], AbstractContextManager[None]],
        on_position: OnPosition,
        holder: str,
        room: Room,
    ) -> tuple[T, dict[str, float]]:
        """Waits for a place, then asks; the answer, and the seconds it took as ``queued`` and ``inference``.

        Args:
            timed: surrounds each of the stages ``check``, ``queued`` and ``inference``. What is told as queued has the
                seconds of both, ``check`` and ``queued``.
            seconds: after which nobody waits any more.
            ask: the work, given the seconds it may take.
            before: what has to be done first, without a place; it gives the size of the answer, in bytes.
            stops: whether work that is cancelled stops in Triton. What has entered an ensemble does not: it runs to its
                end, and would stand in the way of what is sent after it; so it is left alone and keeps its place.

        Raises:
            Problem: the queue is full, or the time is over.
        """
        arrived, began = time.monotonic(), None
        try:
            async with asyncio.timeout(seconds):
                with timed("check"):
                    size = await before()
                with timed("queued"):
                    place = await self.take(model, on_position, holder=holder, is_ready=lambda: room.grows_to(size))
                began = time.monotonic()
                with timed("inference"):
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
