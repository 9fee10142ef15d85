"""Who may ask Triton now, who waits, and who is refused at once."""

import asyncio
import math
import time
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TypeAlias

from facade.problems import Problem

OnPosition: TypeAlias = Callable[[int], object]
"""Is told of a place in the queue, from 1 for the next to go; and of 0 when the wait is over."""

_LONGEST_WAIT = 60.0
_SMOOTHING = 0.2


@dataclass(eq=False)
class _Turn:
    granted: asyncio.Future[None]
    on_position: OnPosition | None
    position: int = 0

    def tell(self, position: int) -> None:
        if self.on_position is not None and position != self.position:
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
    """Bounds how many requests of a model Triton is given at a time, and how many wait for that in order.

    Args:
        queue: requests of a model that may wait.
    """

    def __init__(self, queue: int) -> None:
        self._lanes: dict[str, _Lane] = {}
        self._queue = queue

    def know(self, limits: Mapping[str, int]) -> None:
        """Makes a lane for each model that has none.

        Args:
            limits: requests that run at a time, by model.
        """
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

    async def take(self, model: str, on_position: OnPosition | None = None) -> "Place":
        """Waits for a place; whoever has it is to leave it.

        Args:
            model: one that it knows.
            on_position: is told of the place in the queue and of every change of it.

        Raises:
            Problem: the queue is full; raised without waiting.
        """
        lane = self._lanes[model]
        if lane.running < lane.limit:
            lane.running += 1
            if on_position is not None:
                on_position(0)
        else:
            await self._wait(model, lane, on_position)
        return Place(lane)

    async def _wait(self, model: str, lane: _Lane, on_position: OnPosition | None) -> None:
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
