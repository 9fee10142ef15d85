"""How often a key may ask."""

import math
import time

from limits import parse
from limits.aio.storage import MemoryStorage
from limits.aio.strategies import MovingWindowRateLimiter


class Rates:
    """Counts what each key asks, in a window that moves with the clock.

    Args:
        rate: such as ``60/minute``.
    """

    def __init__(self, rate: str) -> None:
        self.rate = rate
        self._limit = parse(rate)
        self._window = MovingWindowRateLimiter(MemoryStorage())

    async def wait(self, name: str) -> int:
        """Counts a request of a key by its name; 0 if it may be answered, else the seconds until the next may be."""
        if await self._window.hit(self._limit, name):
            return 0
        stats = await self._window.get_window_stats(self._limit, name)
        return max(1, math.ceil(stats.reset_time - time.time()))
