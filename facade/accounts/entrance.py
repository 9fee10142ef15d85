"""Who is let in with an account's key or session, and what its holder may do."""

from contextlib import suppress
from dataclasses import dataclass, replace

from sqlalchemy import Executable, select

from facade.access.caller import Allowance
from facade.access.keys import hash_of
from facade.accounts.roles import ADMINISTRATOR, Role
from facade.accounts.tables import Account, Key, Session
from facade.problems import Problem
from facade.settings import SettingsError
from facade.store.store import Store
from facade.store.tables import now

PREFIX = "account/"
"""Begins the names of holders; no key of a file has a name with a stroke."""

_WANTED = select(Account.id, Account.name, Account.role, Account.limits).where(~Account.blocked)


@dataclass(frozen=True)
class Holder:
    """An account as it was when its holder was last let in."""

    id: int
    name: str
    role: Role
    allowance: Allowance

    @property
    def is_administrator(self) -> bool:
        return self.role == ADMINISTRATOR

    def require_administrator(self) -> None:
        """Raises a `Problem` for anybody but an administrator."""
        if not self.is_administrator:
            raise Problem("forbidden", "this is for administrators", allowed="the account of an administrator")


class Entrance:
    """Looks every key and session up in the store, so that what is revoked, blocked or deleted there counts at once.

    Attributes:
        holders: those who were let in, by their names with `PREFIX`; also of accounts that are gone since: they may be
            waiting.
        numbers: of their accounts.
    """

    def __init__(self, store: Store, everyone: Allowance) -> None:
        self._store, self._everyone = store, everyone
        self.holders: dict[str, Holder] = {}
        self.numbers: dict[str, int] = {}

    async def by_key(self, hashed: str) -> str | None:
        """The holder of the key with this hash; None if there is none.

        Raises:
            StoreAway: the database does not answer.
        """
        return await self._found(_WANTED.join(Key).where(Key.hash == hashed))

    async def by_session(self, token: str) -> str | None:
        """The same for what a cookie says."""
        if not token:
            return None
        of_session = (Session.hash == hash_of(token), Session.expires > now())
        return await self._found(_WANTED.join(Session).where(*of_session))

    def allowance(self, holder: str) -> Allowance | None:
        """What somebody may do who was let in here; None for anybody else."""
        found = self.holders.get(holder)
        return found.allowance if found else None

    async def _found(self, wanted: Executable) -> str | None:
        for number, name, role, limits in await self._store.look(wanted):
            holder = f"{PREFIX}{name}"
            self.holders[holder] = Holder(number, name, role, allowance_of(role, limits, self._everyone))
            self.numbers[holder] = number
            return holder
        return None


def allowance_of(role: Role, limits: str, everyone: Allowance) -> Allowance:
    """What an account may do: everybody's, with its own limits; administrators manage models, too.

    Args:
        limits: words as in the file of keys, such as ``rate=10/minute pictures=100``. One that allows more than
            everybody's, since the server was given other settings, is none.
    """
    allowance = everyone
    for word in limits.split():
        with suppress(SettingsError):
            allowance = allowance.limited([word])
    return replace(allowance, manage=True) if role == ADMINISTRATOR else allowance
