"""Results that are kept: for some days, up to some bytes an account, and only while the account is there.

A result is first a row that is nobody's, then files, then a row that is ready: whatever is killed in between, a file
has a row as long as it may be wanted, and a row that is ready has its files.
"""

import asyncio
import errno
import secrets
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from typing import TypeVar

import structlog
from sqlalchemy import Select, delete, func, select, update

from facade.accounts.tables import Account
from facade.history.files import Files
from facade.history.result import Result, Told
from facade.history.sealed import OVERHEAD_BYTES, Damaged, Sealed
from facade.history.tables import Kept
from facade.problems import Problem
from facade.store.store import Store, changed
from facade.store.tables import now

UNREADY_SECONDS = 600
"""How long the files of a result may take to be written."""
SWEPT_SECONDS = 600.0
_DAY = 24 * 60 * 60
_FULL = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})
_log = structlog.get_logger("facade.history")
T = TypeVar("T")


@dataclass(frozen=True)
class Bounds:
    """How many days a result is kept, and how many bytes of them an account may have."""

    days: int
    bytes: int


class History:
    """What is kept of one store; its migrations have been made. To be used in one event loop."""

    def __init__(self, store: Store, files: Files, bounds: Bounds) -> None:
        self.bounds = bounds
        self._store, self._files = store, files
        self._keeping: set[asyncio.Task[str]] = set()

    @asynccontextmanager
    async def swept(self) -> AsyncIterator[None]:
        """Makes the folder, and sweeps it now and from time to time for as long as the block runs.

        Raises:
            OSError: the folder cannot be made.
        """
        await asyncio.to_thread(self._files.make)
        ends = asyncio.Event()
        sweeping = asyncio.create_task(self._keep_swept(ends))
        try:
            yield
        finally:
            # A transaction is not left in the middle: the store closes after this.
            ends.set()
            await asyncio.wait((sweeping, *self._keeping))

    async def keep(self, account: int, result: Result) -> str:
        """Keeps a result of an account, and returns its token; it lasts from then on.

        Where the account then has more than it may, its oldest results go. What was begun is done, whoever waits.

        Raises:
            Problem: the disk is full or cannot be written to, the result alone is more than the account may have, the
                account is gone, or the database does not answer.
        """
        size = sum(len(picture) + OVERHEAD_BYTES for picture in result.pictures.values())
        if size > self.bounds.bytes:
            problem = f"the result has {size} bytes"
            allowed = f"{self.bounds.bytes} bytes of all results of an account"
            raise Problem("request_too_large", problem, field="keep", allowed=allowed)
        task = asyncio.create_task(self._keep(account, result, size))
        self._keeping.add(task)
        task.add_done_callback(self._keeping.discard)
        return await asyncio.shield(task)

    async def page(self, account: int, before: str | None, most: int) -> Sequence[Kept]:
        """Results of an account, the newest first: those that are older than the one with a token, if one is given.

        Raises:
            Problem: there is no such result of this account.
        """
        wanted = _of(account).order_by(Kept.id.desc()).limit(most)
        if before is not None:
            wanted = wanted.where(Kept.id < (await self.one(account, before)).id)
        async with self._store.reading() as session:
            return (await session.scalars(wanted)).all()

    async def one(self, account: int, token: str) -> Kept:
        """A result of an account.

        Raises:
            Problem: there is none, or it is another's.
        """
        async with self._store.reading() as session:
            found = (await session.scalars(_of(account).where(Kept.token == token))).one_or_none()
        if found is None:
            raise Problem("not_found", "there is no such result", field="result")
        return found

    async def taken(self, account: int) -> int:
        """Bytes that an account's results have."""
        async with self._store.reading() as session:
            total = select(func.sum(Kept.size)).where(Kept.account_id == account, Kept.ready)
            return int((await session.scalar(total)) or 0)

    async def picture(self, kept: Kept, part: str) -> bytes:
        """A part of a result.

        Raises:
            Problem: it has no such part, or its file is gone or was changed.
        """
        parts = Told.model_validate_json(kept.told).parts
        if part not in parts:
            raise Problem("not_found", f"the result has no {part[:40]!r}", field="part", allowed=", ".join(parts))
        found = await self._on_disk(lambda: self._read(Sealed(kept.secret), part))
        if found is None:
            _log.error("a file of a result is gone or was changed", result=kept.token, part=part)
            raise Problem("not_found", "the file of this picture is gone", field="part")
        return found

    async def remove(self, account: int, token: str | None = None) -> int:
        """Removes a result of an account, or all of them; returns how many there were.

        Raises:
            Problem: there is no such result of this account.
        """
        chosen = _of(account) if token is None else _of(account).where(Kept.token == token)
        async with self._store.begin() as session:
            gone = (await session.scalars(chosen)).all()
            await session.execute(delete(Kept).where(Kept.id.in_([each.id for each in gone])))
        if token is not None and not gone:
            raise Problem("not_found", "there is no such result", field="result")
        await self._remove_files(gone)
        return len(gone)

    async def sweep(self) -> None:
        """Removes what has expired, what was never ready, and files that belong to nothing, such as those of an
        account that was deleted."""
        # Files first: every one that is listed has had its row.
        names = await self._on_disk(self._files.names)
        late = (Kept.expires <= now()) | (~Kept.ready & (Kept.created <= now() - UNREADY_SECONDS))
        async with self._store.begin() as session:
            await session.execute(delete(Kept).where(late))
        async with self._store.reading() as session:
            async for secret, told in await session.stream(select(Kept.secret, Kept.told)):
                names -= _names(secret, told)
        await self._on_disk(lambda: self._files.remove(names))
        if names:
            _log.info("swept", files=len(names))

    async def _keep(self, account: int, result: Result, size: int) -> str:
        sealed, token, begun = Sealed.new(), secrets.token_hex(16), now()
        row = Kept(
            account_id=account,
            token=token,
            secret=sealed.secret,
            ready=False,
            size=size,
            task=result.task,
            model=result.model,
            seed=result.seed,
            words=result.words,
            told=result.told.model_dump_json(),
            created=begun,
            expires=begun + self.bounds.days * _DAY,
        )
        async with self._store.begin() as session:
            if await session.scalar(_locked(account)) is None:
                raise Problem("not_found", "the account is gone", field="keep")
            session.add(row)
        try:
            await self._on_disk(lambda: self._write(sealed, result))
            too_much = await self._make_ready(account, row.id)
        except BaseException:
            # If this fails too, a sweep does it.
            await self._on_disk(lambda: self._files.remove(map(sealed.name, result.pictures)))
            async with self._store.begin() as session:
                await session.execute(delete(Kept).where(Kept.id == row.id))
            raise
        await self._remove_files(too_much)
        return token

    def _write(self, sealed: Sealed, result: Result) -> None:
        self._files.write({sealed.name(part): sealed.seal(part, content) for part, content in result.pictures.items()})

    def _read(self, sealed: Sealed, part: str) -> bytes | None:
        try:
            return sealed.open(part, self._files.read(sealed.name(part)))
        except (FileNotFoundError, Damaged):
            return None

    async def _make_ready(self, account: int, number: int) -> list[Kept]:
        """Makes a row ready, and removes the account's oldest ones that are too much; returns them."""
        async with self._store.begin() as session:
            # One after the other, so that they see each other's.
            await session.scalar(_locked(account))
            if not await changed(session, update(Kept).where(Kept.id == number).values(ready=True)):
                raise Problem("not_found", "the account is gone", field="keep")
            newest_first = (await session.scalars(_of(account).order_by(Kept.id.desc()))).all()
            left, too_much = self.bounds.bytes, []
            # This one before all: others that were begun later may have been ready before it.
            for each in sorted(newest_first, key=lambda each: each.id != number):
                left -= each.size
                if left < 0:
                    too_much.append(each)
            await session.execute(delete(Kept).where(Kept.id.in_([each.id for each in too_much])))
        return too_much

    async def _remove_files(self, rows: Iterable[Kept]) -> None:
        names = [name for each in rows for name in _names(each.secret, each.told)]
        await self._on_disk(lambda: self._files.remove(names))

    async def _keep_swept(self, ends: asyncio.Event) -> None:
        while not ends.is_set():
            try:
                await self.sweep()
            except Problem as problem:
                _log.warning("not swept", problem=problem.code)
            with suppress(TimeoutError):
                await asyncio.wait_for(ends.wait(), SWEPT_SECONDS)

    async def _on_disk(self, work: Callable[[], T]) -> T:
        """Does work on files apart from the event loop; raises a `Problem` where the disk does not take it."""
        try:
            return await asyncio.to_thread(work)
        except OSError as error:
            _log.warning("the folder of results cannot be used", error=error.strerror)
            if error.errno in _FULL:
                raise Problem("no_room", "the disk for results is full", field="keep") from error
            raise Problem("unavailable", "results cannot be reached on the disk", field="keep") from error


def _of(account: int) -> Select[Kept]:
    """The results of an account that can be seen."""
    return select(Kept).where(Kept.account_id == account, Kept.ready, Kept.expires > now())


def _locked(account: int) -> Select[int]:
    """The account, which nobody can delete or keep something for before the transaction ends."""
    return select(Account.id).where(Account.id == account).with_for_update()


def _names(secret: str, told: str) -> set[str]:
    return set(map(Sealed(secret).name, Told.model_validate_json(told).parts))
