"""API keys: who may ask, and how often. Only hashes of keys are kept, on disk and in memory."""

import hashlib
import hmac
import math
import re
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from limits import parse
from limits.aio.storage import MemoryStorage
from limits.aio.strategies import MovingWindowRateLimiter
from starlette.datastructures import Headers
from starlette.types import ASGIApp, Receive, Scope, Send

from facade.access.caller import Allowance
from facade.problems import Problem
from facade.settings import Settings, SettingsError

GUARDED = ("/v1/", "/metrics")
"""Starts of the paths that ask for a key. Health does not; the page has a sign-in of its own."""
COUNTED = "/v1/"

_LINE = re.compile(r"([A-Za-z0-9._@-]{1,64})\s+([0-9a-f]{64})((?:\s+\S+)*)")


def hash_of(key: str) -> str:
    """SHA-256 of a key, in hexadecimal. A key is long and random, so that nothing slower is needed."""
    return hashlib.sha256(key.encode(errors="surrogateescape")).hexdigest()


@dataclass(frozen=True, repr=False)
class Keys:
    """The keys that are accepted, by the names of their holders; false where none is asked for.

    Hashes are SHA-256 in hexadecimal. `everyone` is the allowance of those who have none of their own.
    """

    hashes: Mapping[str, str]
    everyone: Allowance
    own: Mapping[str, Allowance] = field(default_factory=dict)

    def __bool__(self) -> bool:
        return bool(self.hashes)

    @classmethod
    def of(cls, settings: Settings) -> "Keys":
        """The keys of the settings: those of the variable are called ``key-1`` and so on, in their order.

        Raises:
            SettingsError: the file cannot be read, a line of it is no key, a name is there twice, or there is no key
                in what was given, which would let everybody in.
        """
        given = [key.strip() for key in settings.api_keys.get_secret_value().split(",")]
        if settings.api_keys.get_secret_value() and not any(given):
            raise SettingsError("--api-keys (CONCORD_API_KEYS): there is no key in it; leave it out to ask for none")
        everyone, own = Allowance.of(settings), {}
        hashes = {f"key-{number}": hash_of(key) for number, key in enumerate(filter(None, given), 1)}
        if settings.api_keys_file is not None:
            listed = _read(settings.api_keys_file)
            if not listed:
                problem = f"{settings.api_keys_file} has no key in it; leave the setting out to ask for none"
                raise SettingsError(f"--api-keys-file (CONCORD_API_KEYS_FILE): {problem}")
            for name, hashed, words in listed:
                if name in hashes:
                    raise SettingsError(f"{settings.api_keys_file}: the name {name} is there twice")
                hashes[name] = hashed
                own[name] = everyone.limited(words)
        return cls(hashes, everyone, own)

    def check(self, key: str) -> str | None:
        """The name of a key's holder, None if it is not accepted. Takes as long whichever key it is."""
        hashed = hash_of(key)
        holder = None
        for name, known in self.hashes.items():
            if hmac.compare_digest(hashed, known):
                holder = name
        return holder

    def allowance(self, holder: str) -> Allowance:
        """What a key's holder may do; an empty name for a caller without a key."""
        return self.own.get(holder, self.everyone)


class Rates:
    """Counts the requests of each key, in a window that moves with the clock."""

    def __init__(self) -> None:
        self._window = MovingWindowRateLimiter(MemoryStorage())

    async def count(self, name: str, rate: str) -> None:
        """Counts a request of a key's holder, whose rate is such as ``60/minute``.

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


@dataclass(frozen=True)
class Gate:
    """ASGI middleware that lets a request pass only with a key, and only as often as the key may ask.

    Leaves the name of the key's holder in ``scope["state"]["key"]``.
    """

    app: ASGIApp
    keys: Keys
    rates: Rates

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and scope["path"].startswith(GUARDED):
            try:
                await self._admit(scope)
            except Problem as problem:
                await problem.response(scope)(scope, receive, send)
                return
        await self.app(scope, receive, send)

    async def _admit(self, scope: Scope) -> None:
        scheme, _, key = Headers(scope=scope).get("authorization", "").partition(" ")
        holder = self.keys.check(key.strip()) if scheme.lower() == "bearer" else None
        if holder is None:
            raise Problem(
                "unauthorized",
                "the key is not accepted" if key else "there is no key",
                field="Authorization",
                allowed="Bearer, and a key of this server",
                headers={"WWW-Authenticate": 'Bearer realm="concord"' + (', error="invalid_token"' if key else "")},
            )
        scope.setdefault("state", {})["key"] = holder
        if scope["path"].startswith(COUNTED):
            await self.rates.count(holder, self.keys.allowance(holder).rate)


def _read(path: Path) -> list[tuple[str, str, list[str]]]:
    try:
        lines = path.read_text().splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise SettingsError(f"--api-keys-file (CONCORD_API_KEYS_FILE): {path} cannot be read: {error}") from error
    found = []
    for number, line in enumerate(lines, 1):
        line = line.strip()
        if line and not line.startswith("#"):
            match = _LINE.fullmatch(line)
            if match is None:
                raise SettingsError(f"{path}, line {number}: not a NAME and a SHA-256, as `concord keys` prints them")
            found.append((match[1], match[2], match[3].split()))
    return found
