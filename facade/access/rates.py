"""How often a key has asked: counted by this replica, or by all of them together in a store."""

import asyncio
import math
import time
from collections import defaultdict, deque
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Any, ParamSpec, Self, TypeVar
from urllib.parse import urlsplit

import structlog
from limits import parse
from limits.errors import StorageError

from facade.problems import Problem
from facade.settings import Settings, SettingsError

DEFAULT_PORT = 6379
STORE_SECONDS = 0.5
"""How long a request waits at most for a store that goes away; once it is known to be, none does."""
AWAY_SECONDS = 1.0
"""How soon a store that did not answer is asked again."""
PREFIX = "concord"
"""Begins the names of everything in the store."""

_PROBE, _PROBE_SECONDS = "probe", 60
P = ParamSpec("P")
T = TypeVar("T")


class Rates:
    """Counts the requests of each key, in a window that moves with the clock.

    Attributes:
        shared: whether requests are counted with those of other replicas; None where that is not wanted.
    """

    shared: bool | None = None

    def __init__(self) -> None:
        # By a clock that nobody sets; that of `limits` follows the day's.
        self._made: defaultdict[str, deque[float]] = defaultdict(deque)

    async def count(self, name: str, rate: str) -> None:
        """Counts a request of a key's holder, whose rate is such as ``60/minute``.

        Raises:
            Problem: the key has made as many requests as it may; tells when the next may be made.
        """
        limit, now = parse(rate), time.monotonic()
        begin = now - limit.get_expiry()
        made = self._since(name, begin)
        if len(made) >= limit.amount:
            raise refusal(rate, made[-limit.amount] - begin)
        made.append(now)

    def note(self, name: str, rate: str) -> None:
        """Counts a request that has been let through elsewhere."""
        now = time.monotonic()
        self._since(name, now - parse(rate).get_expiry()).append(now)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        """Ends what is open."""

    def _since(self, name: str, begin: float) -> deque[float]:
        made = self._made[name]
        while made and made[0] <= begin:
            made.popleft()
        return made


class SharedRates(Rates):
    """The same for all replicas, in Redis; while it does not answer, each counts alone, and nobody waits for it.

    What a replica counted alone is not in the store afterwards. A window is by the clocks of the replicas' machines,
    which have to agree.
    """

    def __init__(self, url: str) -> None:
        """Asks nobody yet.

        Args:
            url: ``redis://`` or ``rediss://``, as `Settings.rates` has it.

        Raises:
            SettingsError: the libraries for it are not installed.
        """
        super().__init__()
        try:
            from limits.aio.storage import RedisStorage
            from redis.asyncio import ConnectionPool
            from redis.asyncio.retry import Retry
            from redis.backoff import NoBackoff
        except ImportError:
            needed = "--rates (CONCORD_RATES): it needs the extra `shared`: pip install 'concord[shared]'"
            raise SettingsError(needed) from None
        # By itself, it would try again for seconds.
        self._pool = ConnectionPool.from_url(url, retry=Retry(NoBackoff(), 0))
        options: dict[str, Any] = {"connection_pool": self._pool, "implementation": "redispy", "key_prefix": PREFIX}
        self._storage = RedisStorage(f"async+{url}", wrap_exceptions=True, **options)
        at = urlsplit(url)
        # Without the password.
        self._log = structlog.get_logger("facade.rates").bind(store=f"{at.hostname}:{at.port or DEFAULT_PORT}")
        self.shared = True
        self._looking: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Self:
        await self._asked(self._storage.incr, _PROBE, _PROBE_SECONDS)
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._looking is not None:
            self._looking.cancel()
        with suppress(StorageError, OSError):
            await self._pool.disconnect()

    async def count(self, name: str, rate: str) -> None:
        wait = await self._asked(self._wait, name, rate) if self.shared else None
        if wait is None:
            await super().count(name, rate)
        elif wait:
            raise refusal(rate, wait)
        else:
            # So that the replica knows of it when the store goes away.
            self.note(name, rate)

    async def _wait(self, name: str, rate: str) -> float:
        """Seconds until the next request may be made; 0 if this one may, and is counted."""
        limit = parse(rate)
        period = limit.get_expiry()
        window = limit.key_for(name), limit.amount, period
        if await self._storage.acquire_entry(*window):
            return 0
        oldest, _ = await self._storage.get_moving_window(*window)
        # The clock of who made that request may be another one.
        return max(1.0, min(oldest + period - time.time(), period))

    async def _asked(self, ask: Callable[P, Awaitable[T]], *args: P.args, **kwargs: P.kwargs) -> T | None:
        """What the store answers; None if it does not, and then it is looked for until it does."""
        try:
            async with asyncio.timeout(STORE_SECONDS):
                return await ask(*args, **kwargs)
        except (StorageError, OSError) as error:
            # Of several requests that waited, the first.
            if self.shared:
                self.shared = False
                trouble = type(error.__cause__ or error).__name__
                self._log.warning("the store of rates is away; each replica counts alone", trouble=trouble)
                self._looking = asyncio.create_task(self._look())
            return None

    async def _look(self) -> None:
        """Ends when the store can be written to again."""
        answered = None
        while answered is None:
            await asyncio.sleep(AWAY_SECONDS)
            answered = await self._asked(self._storage.incr, _PROBE, _PROBE_SECONDS)
        self.shared = True
        self._log.warning("the store of rates is back; replicas count together")


def rates_of(settings: Settings) -> Rates:
    """What counts the requests of keys.

    Raises:
        SettingsError: they are to be counted in a store whose libraries are not installed.
    """
    url = settings.rates.get_secret_value()
    return SharedRates(url) if url else Rates()


def refusal(rate: str, wait: float) -> Problem:
    """What a key is told that has asked as often as it may, and may again after so many seconds."""
    return Problem(
        "rate_limited",
        f"{rate} requests were made with this key",
        allowed=f"{rate} with one key",
        retry_after=max(1, math.ceil(wait)),
    )
