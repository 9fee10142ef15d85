"""Where requests that run side by side wait for one another, so that their steps reach the batcher together."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager


class StepBarrier:
    """Starts the waiting steps together: when no step is running and every party is waiting, or after `patience`.

    A network runs one batch at a time: a step that is sent while another runs would wait for it anyway, and then run
    without the requests that come back from it. A request that steps alone never waits.

    Args:
        patience: seconds that a step waits for the other parties when no step is running.

    Used in one event loop only.
    """

    def __init__(self, patience: float) -> None:
        self._patience = patience
        self._parties = 0
        self._running = 0
        self._waiting: list[asyncio.Future[None]] = []
        self._timer: asyncio.TimerHandle | None = None

    @contextmanager
    def party(self) -> Iterator[None]:
        """Entered by a request for as long as it takes steps; the others wait for it."""
        self._parties += 1
        try:
            yield
        finally:
            self._parties -= 1
            self._consider()

    @asynccontextmanager
    async def step(self) -> AsyncIterator[None]:
        """Waits until the step inside may start."""
        turn = asyncio.get_running_loop().create_future()
        self._waiting.append(turn)
        self._consider()
        try:
            await turn
            yield
        finally:
            if turn in self._waiting:
                self._waiting.remove(turn)
            else:
                self._running -= 1
            self._consider()

    def _consider(self) -> None:
        if self._running or not self._waiting:
            return
        if len(self._waiting) >= self._parties:
            self._go()
        elif self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(self._patience, self._go)

    def _go(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self._running += len(self._waiting)
        for turn in self._waiting:
            if not turn.done():
                turn.set_result(None)
        self._waiting.clear()
