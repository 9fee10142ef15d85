"""Work that the calls of one event loop wait for together, so that each does not do it for itself."""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager, suppress


class Together:
    """Work that one call does; the others wait until it has ended, in whatever way.

    Args:
        blocking: the calls are of no event loop, and do not wait.
    """

    def __init__(self, *, blocking: bool) -> None:
        self._blocking = blocking
        self._under_way: asyncio.Event | None = None

    async def wait(self, seconds: float) -> None:
        """Returns when the work that is under way has ended, if there is some, or the time is over."""
        if self._under_way is not None and not self._blocking:
            with suppress(TimeoutError):
                await asyncio.wait_for(self._under_way.wait(), seconds)

    @contextmanager
    def doing(self) -> Iterator[None]:
        """Does the work in the block."""
        ended = self._under_way = asyncio.Event()
        try:
            yield
        finally:
            ended.set()
            if self._under_way is ended:
                self._under_way = None
