"""Who may ask Triton now, who waits, and who is refused at once; and the work of those whose turn has come."""

import asyncio
import math
import time
from collections import deque
from collections.abc import Awaitable, Callable, Coroutine, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeAlias, TypeVar

from facade.problems import Problem
from facade.settings import LONGEST

T = TypeVar("T")
OnPosition: TypeAlias = Callable[[int], object]
"""Is told of a place in the queue, from 1 for the next to go; and of 0 when the wait is over."""

MARGIN = 60.0
"""Seconds that Triton is given beyond a deadline: where one passes amid an ensemble, its gRPC frontend can crash."""
_LONGEST_WAIT = 60.0
_SMOOTHING = 0.2


@dataclass(eq=False)
class _Turn:
    granted: asyncio.Future[None]
    on_position: OnPosition
    position: int = 0

    def tell(self, position: int) -> None:
        if position != self.position:
            self.position = position
            self.on_position(position)


@dataclass
class _Lane:
    """One model's places: so many run, so many wait."""

    limit: int
    running: int = 0
    waiting: deque[_Turn] = field(default_factory=deque)
    seconds: float = 1.0

    def leave(self) -> None:
        """Hands a place to whoever is next."""
        while self.waiting:
            turn = self.waiting.popleft()
            if not turn.granted.done():
                turn.granted.set_result(None)
                self.tell_positions()
                return
        self.running -= 1

    def tell_positions(self) -> None:
        for position, turn in enumerate(self.waiting, 1):
            turn.tell(position)

    def patience(self) -> float:
        """Seconds until a place in the queue may be free, going by how long requests took lately."""
        return min(_LONGEST_WAIT, max(1.0, self.seconds * (len(self.waiting) + 1) / self.limit))


class Place:
    """The right to ask a model now."""

    def __init__(self, lane: _Lane) -> None:
        self._lane = lane
        self._taken = time.monotonic()

    def leave(self) -> None:
        """Hands the place on; to be called once."""
        self._lane.seconds += _SMOOTHING * (time.monotonic() - self._taken - self._lane.seconds)
        self._lane.leave()


class Admission:
    """Bounds how many requests of a model Triton is given at a time, and how many wait for that in order, the queue.

    Work keeps its place until Triton has ended it, whoever still waits for the answer.
    """

    def __init__(self, queue: int) -> None:
        self._lanes: dict[str, _Lane] = {}
        self._queue = queue
        self._working: set[asyncio.Task[Any]] = set()

    def know(self, limits: Mapping[str, int]) -> None:
        """Makes a lane for each model that has none, given the requests that run at a time."""
        for model, limit in limits.items():
            self._lanes.setdefault(model, _Lane(limit))

    @property
    def limits(self) -> Mapping[str, int]:
        """Requests that may run at a time, by model."""
        return {model: lane.limit for model, lane in self._lanes.items()}

    @property
    def waiting(self) -> Mapping[str, int]:
        """Requests that wait, by model."""
        return {model: len(lane.waiting) for model, lane in self._lanes.items()}

    @property
    def running(self) -> Mapping[str, int]:
        """Requests that Triton was given, by model."""
        return {model: lane.running for model, lane in self._lanes.items()}

    async def take(self, model: str, on_position: OnPosition = lambda _: None) -> Place:
        """Waits for a place; whoever has it is to leave it.

        Raises:
            Problem: the queue is full; raised without waiting.
        """
        lane = self._lanes[model]
        if lane.running < lane.limit:
            lane.running += 1
            on_position(0)
        else:
            await self._wait(model, lane, on_position)
        return Place(lane)

    async def _wait(self, model: str, lane: _Lane, on_position: OnPosition) -> None:
        if len(lane.waiting) >= self._queue:
            raise Problem(
                "too_busy",
                f"{lane.running} requests to {model} are being answered and {len(lane.waiting)} wait",
                allowed=f"{lane.limit} requests to {model} at a time and {self._queue} that wait",
                retry_after=math.ceil(lane.patience()),
            )
        turn = _Turn(asyncio.get_running_loop().create_future(), on_position)
        lane.waiting.append(turn)
        try:
            turn.tell(len(lane.waiting))
            await turn.granted
        except BaseException:
            if turn.granted.done() and not turn.granted.cancelled():
                lane.leave()
            else:
                # A place that came free in the same moment has passed this turn over already.
                if turn in lane.waiting:
                    lane.waiting.remove(turn)
                lane.tell_positions()
            raise
        turn.tell(0)

    async def work(
        self,
        model: str,
        seconds: float,
        ask: Callable[[float], Coroutine[Any, Any, T]],
        *,
        before: Callable[[], Awaitable[object]],
        stops: bool,
        on_position: OnPosition,
    ) -> tuple[T, dict[str, float]]:
        """Waits for a place, then asks; the answer, and the seconds it took as ``queued`` and ``inference``.

        Args:
            seconds: after which nobody waits any more.
            ask: the work, given the seconds it may take.
            before: what has to be done first, without a place.
            stops: whether work that is cancelled stops in Triton. What has entered an ensemble does not: it runs to its
                end, and would stand in the way of what is sent after it; so it is left alone and keeps its place.

        Raises:
            Problem: the queue is full, or the time is over.
        """
        arrived, began = time.monotonic(), None
        try:
            async with asyncio.timeout(seconds):
                await before()
                place = await self.take(model, on_position)
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
