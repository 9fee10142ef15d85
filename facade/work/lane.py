"""Places that are handed out so that no holder of a key shuts out another."""

import asyncio
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import TypeAlias

OnPosition: TypeAlias = Callable[[int], object]
"""Is told of a place in the queue, from 1 for the next to go; and of 0 when the wait is over."""

_LONGEST_WAIT = 60.0
_SMOOTHING = 0.2


@dataclass(eq=False)
class _Turn:
    """One who waits; `is_ready` takes what is needed besides the place, if that can be had now."""

    holder: str
    is_ready: Callable[[], bool]
    on_position: OnPosition
    granted: asyncio.Future[None]
    position: int = -1

    def tell(self, position: int) -> None:
        if position != self.position:
            self.position = position
            self.on_position(position)


@dataclass
class Lane:
    """So many places, for those who wait in their order, but for one holder's after the other's.

    The next place goes to the holder who has the fewest, and of several to whom it is longest since the last.
    """

    limit: int
    seconds: float = 1.0
    _waiting: list[_Turn] = field(default_factory=list)
    _running: Counter[str] = field(default_factory=Counter)
    _granted: dict[str, int] = field(default_factory=dict)

    @property
    def running(self) -> int:
        return self._running.total()

    @property
    def waiting(self) -> int:
        return len(self._waiting)

    def waiting_of(self, holder: str) -> int:
        return sum(turn.holder == holder for turn in self._waiting)

    def patience(self) -> float:
        """Seconds until those who wait now may have gone, going by how long requests took lately."""
        return min(_LONGEST_WAIT, max(1.0, self.seconds * self.waiting / self.limit))

    @asynccontextmanager
    async def place(self, holder: str) -> AsyncIterator[None]:
        """A place for as long as the block runs."""
        place = await self.take(holder)
        try:
            yield
        finally:
            place.leave()

    async def take(
        self,
        holder: str,
        *,
        is_ready: Callable[[], bool] = lambda: True,
        on_position: OnPosition = lambda _: None,
        check: Callable[[], object] = lambda: None,
    ) -> "Place":
        """Waits for a place; whoever has it is to leave it.

        Args:
            is_ready: takes what is needed besides, if that can be had now, and says so; see `hand_out`.
            check: is called where there is a wait, with this one among those who wait; what it raises is raised.
        """
        turn = _Turn(holder, is_ready, on_position, asyncio.get_running_loop().create_future())
        self._waiting.append(turn)
        try:
            self._hand_out()
            if not turn.granted.done():
                check()
                self._tell_positions()
            await turn.granted
        except BaseException:
            if turn in self._waiting:
                self._waiting.remove(turn)
                self._tell_positions()
            elif not turn.granted.cancelled():
                self._leave(holder)
            raise
        turn.tell(0)
        return Place(self, holder)

    def hand_out(self) -> None:
        """Hands out places that are free; to be called when what somebody needs besides may have become free."""
        if self._waiting:
            self._hand_out()
            self._tell_positions()

    def refuse(self, problem: Callable[[], Exception]) -> None:
        """Ends the wait of all who wait: what `problem` gives is raised, one for each."""
        for turn in self._waiting:
            if not turn.granted.done():
                turn.granted.set_exception(problem())

    def leave(self, holder: str, seconds: float) -> None:
        """Takes a place back that was held for so long."""
        self.seconds += _SMOOTHING * (seconds - self.seconds)
        self._leave(holder)

    def _leave(self, holder: str) -> None:
        self._running[holder] -= 1
        self._running += Counter()  # without those that are zero
        self.hand_out()

    def _hand_out(self) -> None:
        while self.running < self.limit:
            turn = next((each for each in self._order() if each.is_ready()), None)
            if turn is None:
                return
            self._waiting.remove(turn)
            self._running[turn.holder] += 1
            self._granted[turn.holder] = max(self._granted.values(), default=0) + 1
            turn.granted.set_result(None)

    def _order(self) -> list[_Turn]:
        """Those who wait, as they will go if nobody comes."""
        # Those who have just given up are passed over.
        waiting = [turn for turn in self._waiting if not turn.granted.done()]
        ahead = self._running.copy()
        ranks = []
        for turn in waiting:
            ranks.append((ahead[turn.holder], self._granted.get(turn.holder, 0)))
            ahead[turn.holder] += 1
        return [turn for _, turn in sorted(zip(ranks, waiting, strict=True), key=lambda each: each[0])]

    def _tell_positions(self) -> None:
        for position, turn in enumerate(self._order(), 1):
            turn.tell(position)


class Place:
    """One of a lane's places."""

    def __init__(self, lane: Lane, holder: str) -> None:
        self._lane, self._holder = lane, holder
        self._taken = time.monotonic()

    def leave(self) -> None:
        """Hands the place on; to be called once."""
        self._lane.leave(self._holder, time.monotonic() - self._taken)
