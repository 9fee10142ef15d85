"""The pictures that accounts have asked for on a day, kept in the store.

They are written ahead: a facade takes some of an account's day at a time, and then hands them out without the disk. If
it is killed, what it had taken counts as asked for; no count is lost. What it has left when it ends, it gives back. Of
a day that has few pictures left, one is taken at a time, so that several facades share them to the last.
"""

import asyncio
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field

from sqlalchemy import insert, literal, select, update
from sqlalchemy.exc import IntegrityError

from facade.access.pictures import Pictures, check, today
from facade.accounts.tables import Account, Usage
from facade.problems import Problem
from facade.store.store import Store

MOST_TAKEN = 32
"""Pictures at a time."""
SHARE = 32
"""Of what is left of a day, one of so many is taken at most."""


@dataclass
class _Taken:
    """What this facade has taken of an account's day and not handed out."""

    left: int = 0
    lock: asyncio.Lock = field(default_factory=asyncio.Lock)
    refilling: asyncio.Task[None] | None = None


class StoredPictures(Pictures):
    """Counts by account; a key's holder who has no account is counted in memory."""

    def __init__(self, store: Store, account_of: Mapping[str, int]) -> None:
        """`account_of` has the numbers of accounts by their holders' names."""
        super().__init__()
        self._store, self._account_of = store, account_of
        self._taken: dict[tuple[int, int], _Taken] = {}

    async def count(self, holder: str, most: int) -> None:
        if holder not in self._account_of:
            await super().count(holder, most)
            return
        row = (self._account_of[holder], today())
        if row not in self._taken:
            self._taken = {each: taken for each, taken in self._taken.items() if each[1] == row[1]}
        taken = self._taken.setdefault(row, _Taken())
        while not taken.left:
            await self._refill(row, taken, most)
        taken.left -= 1
        if 1 < taken.left < MOST_TAKEN // 2 and (taken.refilling is None or taken.refilling.done()):
            taken.refilling = asyncio.create_task(self._refill_ahead(row, taken, most))

    async def asked_today(self, account: int) -> int:
        """What an account has asked for today, here or at another facade."""
        wanted = select(Usage.pictures).where(Usage.account_id == account, Usage.day == today())
        written = next((found[0] for found in await self._store.look(wanted)), 0)
        return self.asked_of(account, written)

    def asked_of(self, account: int, written: int) -> int:
        """What was asked for, of what the store has for an account today."""
        row = (account, today())
        return max(0, written - (self._taken[row].left if row in self._taken else 0))

    async def close(self) -> None:
        """Gives back what is left."""
        for taken in self._taken.values():
            if taken.refilling is not None:
                taken.refilling.cancel()
                with suppress(asyncio.CancelledError):
                    await taken.refilling
        with suppress(Problem):
            async with self._store.begin() as session:
                for (account, day), taken in sorted(self._taken.items(), key=lambda each: each[0]):
                    row = (Usage.account_id == account, Usage.day == day, Usage.pictures >= taken.left)
                    await session.execute(update(Usage).where(*row).values(pictures=Usage.pictures - taken.left))
                    taken.left = 0

    async def _refill_ahead(self, row: tuple[int, int], taken: _Taken, most: int) -> None:
        # Whoever then finds nothing left is told why.
        with suppress(Problem):
            await self._refill(row, taken, most, unless_above=MOST_TAKEN // 2)

    async def _refill(self, row: tuple[int, int], taken: _Taken, most: int, unless_above: int = 0) -> None:
        """Takes some more of a day.

        Raises:
            Problem: nothing is left of it, the account is gone, or the database does not answer.
        """
        async with taken.lock:
            if taken.left <= unless_above:
                taken.left += await self._written(*row, most)

    async def _written(self, account: int, day: int, most: int) -> int:
        """How many were taken of a day; they are on the disk as asked for."""
        row = (Usage.account_id == account, Usage.day == day)
        async with self._store.begin() as session:
            first = select(Account.id, literal(day), literal(0)).where(Account.id == account)
            wanted = select(Usage.pictures).where(*row).with_for_update()
            asked = (await session.scalars(wanted)).one_or_none()
            if asked is None:
                with suppress(IntegrityError):  # another facade was first
                    async with session.begin_nested():
                        await session.execute(insert(Usage).from_select(["account_id", "day", "pictures"], first))
                asked = (await session.scalars(wanted)).one_or_none()
            if asked is None:
                raise Problem("unauthorized", "the account is gone", field="Authorization")
            check(asked, most)
            count = max(1, min(MOST_TAKEN, (most - asked) // SHARE))
            await session.execute(update(Usage).where(*row).values(pictures=asked + count))
        return count
