"""How often a key may ask."""

import math
import time

from limits import parse
from limits.aio.storage import MemoryStorage
from limits.aio.strategies import MovingWindowRateLimiter

from facade.problems import Problem


class Rates:
    """Counts the requests of each key, in a window that moves with the clock."""

    def __init__(self) -> None:
        self._window = MovingWindowRateLimiter(MemoryStorage())

    async def count(self, name: str, rate: str) -> None:
        """Counts a request.

        Args:
            name: of the key's holder.
            rate: the key's, such as ``60/minute``.

        Raises:
            Problem: the key has made as many requests as it may; tells when the next may be made.
        """
        limit = parse(rate)
        if await self._window.hit(limit, name):
            return
        stats = await self._window.get_window_stats(limit, name)
        raise Problem(
            "rate_limited",
            f"{rate} requests were made with this key",
            allowed=f"{rate} with one key",
            retry_after=max(1, math.ceil(stats.reset_time - time.time())),
        )
