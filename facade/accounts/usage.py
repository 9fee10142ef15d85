"""The pictures that accounts have asked for, kept in the store: written together, while the models work on them."""

import asyncio
from collections import Counter
from collections.abc import Awaitable, Mapping

from sqlalchemy import insert, literal, select, update
from sqlalchemy.exc import IntegrityError

from facade.access.pictures import Pictures, check, today
from facade.accounts.tables import Account, Usage
from facade.problems import Problem
from facade.store.store import Store, changed


class StoredPictures(Pictures):
    """Counts by account, with what other replicas have written; a key's holder who has no account is counted in memory.

    A count waits for the disk with others, once for all of them. Replicas learn of each other's counts when they write
    their own, so of what is asked at the same moment there may be some more than is allowed.
    """

    def __init__(self, store: Store, account_of: Mapping[str, int]) -> None:
        """`account_of` has the numbers of accounts by their holders' names."""
        super().__init__()
        self._store, self._account_of = store, account_of
        self._totals: dict[tuple[int, int], int] = {}
        self._unwritten: Counter[tuple[int, int]] = Counter()
        self._next: asyncio.Future[None] | None = None
        self._writing: asyncio.Task[None] | None = None

    async def count(self, holder: str, most: int) -> Awaitable[None]:
        if holder not in self._account_of:
            return await super().count(holder, most)
        row = (self._account_of[holder], today())
        if row not in self._totals:
            found = await self._read(*row)
            self._totals = {known: total for known, total in self._totals.items() if known[1] == row[1]}
            self._totals.setdefault(row, found)
        check(self._totals[row], most)
        self._totals[row] += 1
        self._unwritten[row] += 1
        if self._next is None:
            self._next = asyncio.get_running_loop().create_future()
        written = self._next
        if self._writing is None or self._writing.done():
            self._writing = asyncio.create_task(self._write())
        return asyncio.shield(written)

    async def asked_today(self, account: int) -> int:
        """What an account has asked for today."""
        return await self._read(account, today())

    async def _read(self, account: int, day: int) -> int:
        async with self._store.reading() as session:
            wanted = select(Usage.pictures).where(Usage.account_id == account, Usage.day == day)
            return (await session.scalars(wanted)).one_or_none() or 0

    async def _write(self) -> None:
        """Writes what there is until nothing is left; what comes meanwhile is written next."""
        while (written := self._next) is not None:
            rows, self._unwritten, self._next = self._unwritten, Counter(), None
            try:
                totals = await self._added(rows)
            except Problem as problem:
                for row in rows.keys() & self._totals.keys():
                    self._totals[row] -= rows[row]
                written.set_exception(problem)
                # Looked at, in case nobody waits for it.
                written.exception()
                continue
            for row, total in totals.items():
                self._totals[row] = total + self._unwritten[row]
            written.set_result(None)

    async def _added(self, rows: Mapping[tuple[int, int], int]) -> dict[tuple[int, int], int]:
        """The totals of rows with what was added to them; none for an account that is gone."""
        totals = {}
        async with self._store.begin() as session:
            for account, day in sorted(rows):
                row = (Usage.account_id == account, Usage.day == day)
                more = update(Usage).where(*row).values(pictures=Usage.pictures + rows[account, day])
                if not await changed(session, more):
                    first = select(Account.id, literal(day), literal(rows[account, day])).where(Account.id == account)
                    try:
                        async with session.begin_nested():
                            await session.execute(insert(Usage).from_select(["account_id", "day", "pictures"], first))
                    except IntegrityError:  # another replica was first
                        await session.execute(more)
                total = (await session.scalars(select(Usage.pictures).where(*row))).one_or_none()
                if total is not None:
                    totals[account, day] = total
        return totals
