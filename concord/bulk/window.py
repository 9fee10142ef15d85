"""How many requests are under way: doubled for as long as that answers more of them a second."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

FIRST, MOST = 4, 32
_GAIN = 1.1
"""What a doubling has to bring, or it is taken back."""
_TURNS = 4
"""Answers to each place of the window, by which its rate is measured."""
_LEAST_SECONDS = 0.25


class Window:
    """Places for requests, in one event loop.

    Attributes:
        size: places there are now.
        settled: whether more of them did not bring more.
    """

    def __init__(self) -> None:
        self.size = FIRST
        self.settled = False
        self._taken = 0
        self._free = asyncio.Condition()
        self._began = 0.0
        self._answers = 0
        self._rate = 0.0

    @asynccontextmanager
    async def place(self) -> AsyncIterator[None]:
        """Waits for a place, and holds it for as long as the block runs."""
        async with self._free:
            await self._free.wait_for(lambda: self._taken < self.size)
            self._taken += 1
            full = self._taken == self.size
            if full and not self._began:
                self._began, self._answers = time.monotonic(), 0
        try:
            yield
        finally:
            async with self._free:
                self._taken -= 1
                self._answers += 1
                self._measure(time.monotonic())
                self._free.notify_all()

    def _measure(self, now: float) -> None:
        seconds = now - self._began
        if self.settled or not self._began or self._answers < _TURNS * self.size or seconds < _LEAST_SECONDS:
            return
        rate = self._answers / seconds
        if rate < self._rate * _GAIN:
            self.size, self.settled = self.size // 2, True
            return
        self._rate, self._began = rate, 0.0
        if self.size == MOST:
            self.settled = True
        else:
            self.size *= 2
