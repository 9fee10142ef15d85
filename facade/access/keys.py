"""API keys: who may ask. Only hashes of keys are kept, on disk and in memory."""

import hashlib
import hmac
from dataclasses import dataclass
from typing import Protocol

from starlette.datastructures import Headers
from starlette.requests import HTTPConnection
from starlette.types import ASGIApp, Receive, Scope, Send

from concord_client.transport import is_loopback
from facade.access.caller import Allowance
from facade.access.cookie import token_of
from facade.access.key_file import KeyFile
from facade.access.rates import Rates
from facade.problems import Problem
from facade.settings import Settings, SettingsError

WITHOUT = ("/v1/account/register", "/v1/account/sign-in")
"""Paths that ask for none, since who has one does not need them; they count tries by address."""
COUNTED = ("/v1/", "/v2/models")
"""Starts of the paths whose requests are counted against the rate of their key."""
GUARDED = (*COUNTED, "/metrics")
"""Starts of the paths that ask for a key. Health does not; the page has a sign-in of its own."""


def hash_of(key: str) -> str:
    """SHA-256 of a key, in hexadecimal. A key is long and random, so that nothing slower is needed."""
    return hashlib.sha256(key.encode(errors="surrogateescape")).hexdigest()


class Entrance(Protocol):
    """Where others than the holders of keys of the settings are let in: `facade.accounts.entrance`."""

    async def by_key(self, hashed: str) -> str | None:
        """The holder of the key with a hash."""

    async def by_session(self, token: str) -> str | None:
        """Who signed in and got a cookie that says this."""

    def allowance(self, holder: str) -> Allowance | None:
        """What somebody may do who was let in there."""


class Keys:
    """The keys that are accepted, by the names of their holders; false where none is asked for.

    Only hashes of keys are kept. A file of keys is read again when it has changed, see `KeyFile`.

    Attributes:
        entrance: for those who have accounts; None where there are none.
    """

    entrance: Entrance | None = None

    def __init__(self, settings: Settings) -> None:
        """Those of the variable are called ``key-1`` and so on, in their order.

        Raises:
            SettingsError: the file cannot be read or a line of it is wrong; or everybody would be let in: there is no
                key in what was given, or none was given although the address is not loopback and not said to be open.
        """
        given = settings.api_keys.get_secret_value()
        keys = filter(None, (key.strip() for key in given.split(",")))
        self._given = {f"key-{number}": hash_of(key) for number, key in enumerate(keys, 1)}
        self.everyone = Allowance.of(settings)
        self._file: KeyFile | None = None
        if given and not self._given:
            raise SettingsError("--api-keys (CONCORD_API_KEYS): there is no key in it; leave it out to ask for none")
        if settings.api_keys_file is not None:
            self._file = KeyFile(settings.api_keys_file, self.everyone, self._given)
        self._has_accounts = settings.accounts != "off"
        if not (self or settings.open or is_loopback(settings.host)):
            problem = f"{settings.host} is not loopback, and there are no keys: everybody who reaches it could ask"
            allowed = "--api-keys-file, or --open (CONCORD_OPEN) to let everybody in"
            raise SettingsError(f"--host (CONCORD_HOST): {problem}; allowed: {allowed}")

    def __bool__(self) -> bool:
        return bool(self._given) or self._file is not None or self._has_accounts

    def has_several(self) -> bool:
        """Whether there are several keys."""
        return self._has_accounts or len(self._known()) > 1

    def check(self, key: str) -> str | None:
        """The name of a key's holder, None if it is not accepted. Takes as long whichever key it is."""
        return self.holder(hash_of(key))

    def holder(self, hashed: str) -> str | None:
        """The same, for the hash of a key."""
        holder = None
        for name, known in self._known().items():
            if hmac.compare_digest(hashed, known):
                holder = name
        return holder

    def _known(self) -> dict[str, str]:
        """The hashes of the keys, by the names of their holders."""
        return {**self._given, **(self._file.hashes() if self._file else {})}

    def allowance(self, holder: str) -> Allowance:
        """What a key's holder may do; an empty name for a caller without a key."""
        own = self._file and self._file.allowances.get(holder)
        return own or (self.entrance and self.entrance.allowance(holder)) or self.everyone

    async def admitted(self, key: str, token: str) -> str | None:
        """The name of who comes with a key, or without one but with a cookie; None for whoever is not let in.

        Raises:
            Problem: where accounts are kept does not answer.
        """
        if (holder := key and self.check(key)) or self.entrance is None:
            return holder or None
        return await (self.entrance.by_key(hash_of(key)) if key else self.entrance.by_session(token))


@dataclass(frozen=True)
class Gate:
    """ASGI middleware that lets a request pass only with a key or the cookie of an account, as often as that may ask.

    Leaves the name of the holder in ``scope["state"]["key"]``.
    """

    app: ASGIApp
    keys: Keys
    rates: Rates

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and scope["path"].startswith(GUARDED) and scope["path"] not in WITHOUT:
            try:
                await self._admit(scope)
            except Problem as problem:
                await problem.response(scope)(scope, receive, send)
                return
        await self.app(scope, receive, send)

    async def _admit(self, scope: Scope) -> None:
        given = Headers(scope=scope).get("authorization", "")
        scheme, _, key = given.partition(" ")
        holder = None
        if scheme.lower() == "bearer" or not given:
            holder = await self.keys.admitted(key.strip(), token_of(HTTPConnection(scope)))
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
