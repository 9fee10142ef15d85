"""Signing in and out: sessions are rows of the store, known by the hash of what a browser's cookie says."""

import secrets

from sqlalchemy import delete, select, update
from sqlalchemy.ext.asyncio import AsyncSession

from facade.access.cookie import SESSION_SECONDS
from facade.access.keys import hash_of
from facade.accounts.hashing import Hashing
from facade.accounts.names import name_of
from facade.accounts.passwords import plain
from facade.accounts.tables import Account, Session
from facade.accounts.throttle import Throttle, site
from facade.problems import Problem
from facade.store.store import Store
from facade.store.tables import now


class Sessions:
    """The sessions of all accounts."""

    def __init__(self, store: Store, hashing: Hashing, throttle: Throttle) -> None:
        self._store, self._hashing, self._throttle = store, hashing, throttle

    async def begin(self, given: str, password: str, address: str) -> str:
        """Signs in.

        Args:
            given: the name, as somebody wrote it.
            address: where the request is from.

        Returns:
            What the cookie is to say.

        Raises:
            Problem: the name or the password is wrong, which takes the same time; there were too many tries; or the
                account is blocked.
        """
        account = await self.known(given, password, address)
        async with self._store.begin() as session:
            token = await self.opened(session, account)
        return token

    async def known(self, given: str, password: str, address: str) -> Account:
        """The account of a name, if this is its password; a hash with older parameters is made anew.

        Raises:
            Problem: as `begin`.
        """
        try:
            name = name_of(given)
        except Problem:
            name = ""
        await self._throttle.count(address, name)
        async with self._store.reading() as session:
            account = (await session.scalars(select(Account).where(Account.name == name))).one_or_none()
        right, renewed = await self._hashing.checked(
            plain(password), account.password if account else None, site(address)
        )
        if account is None or not right:
            raise _wrong()
        if account.blocked:
            raise Problem("forbidden", "this account is blocked", allowed="an administrator can tell why")
        if renewed:
            async with self._store.begin() as session:
                same = (Account.id == account.id, Account.password == account.password)
                await session.execute(update(Account).where(*same).values(password=renewed))
            account.password = renewed
        return account

    async def opened(self, session: AsyncSession, account: Account) -> str:
        """A new session of an account, within a transaction; what its cookie is to say.

        Raises:
            Problem: the account is gone, or its password is another since it was looked at.
        """
        same = select(Account.id).where(Account.id == account.id, Account.password == account.password)
        if (await session.scalars(same)).one_or_none() is None:
            raise _wrong()
        token, at = secrets.token_urlsafe(32), now()
        await session.execute(delete(Session).where(Session.expires <= at))
        session.add(Session(hash=hash_of(token), account_id=account.id, created=at, expires=at + SESSION_SECONDS))
        return token

    async def end(self, token: str) -> None:
        """Signs out."""
        async with self._store.begin() as session:
            await session.execute(delete(Session).where(Session.hash == hash_of(token)))

    async def end_all(self, account: int) -> None:
        """Signs out everywhere."""
        async with self._store.begin() as session:
            await session.execute(delete(Session).where(Session.account_id == account))


def _wrong() -> Problem:
    return Problem("unauthorized", "the name or the password is wrong", field="password")
