"""A store: a database with tables that are brought to the program's version when it is opened."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from typing import Any, Self, TypeVar, cast

from sqlalchemy import Connection, CursorResult, Executable, UpdateBase, event
from sqlalchemy.ext.asyncio import AsyncSession, async_sessionmaker, create_async_engine

from facade.store.address import file_of, place, with_driver
from facade.store.errors import StoreAway, StoreError, StoreFull, translated, typed
from facade.store.looks import LOCKED_SECONDS, Looks, prepare
from facade.store.versions import HEAD, Versions

MIGRATIONS = "facade.store.migrations"
"""The package of the facade's own."""
CONNECT_SECONDS = 5.0
"""How long a request waits at most for a connection; a database that takes longer is away."""
CONNECTIONS = 8
_READS, _MIGRATES = "reads", "migrates"
T = TypeVar("T")


class Store:
    """The database at a URL.

    ``async with Store(url, "room.migrations") as store`` makes the tables or migrates them up; then
    ``async with store.begin() as session`` is a transaction, committed when the block ends and rolled back when it
    raises. What has been committed lasts, whatever is killed then.
    """

    def __init__(self, url: str, migrations: str) -> None:
        """Opens nothing yet.

        Args:
            url: ``sqlite:///PATH``, or ``postgresql://``, ``mariadb://`` or ``mysql://`` with a server and a name.
            migrations: the package whose modules are Alembic's versions.

        Raises:
            ValueError: the URL is none of these.
        """
        self.where = place(url)
        self.versions = Versions(migrations)
        self._file = file_of(url)
        options: dict[str, Any] = {"pool_size": CONNECTIONS, "max_overflow": 0, "pool_timeout": CONNECT_SECONDS}
        if self._file is None:
            # A server that was away has closed its connections.
            options |= {"pool_pre_ping": True, "isolation_level": "READ COMMITTED"}
        self._engine = create_async_engine(with_driver(url), **options)
        if self._file is not None:
            event.listen(self._engine.sync_engine, "connect", prepare)
            event.listen(self._engine.sync_engine, "begin", _begin)
            event.listen(self._engine.sync_engine, "invalidate", _roll_back)
        self._looks = None if self._file is None else Looks(url)
        self._sessions = async_sessionmaker(self._engine, expire_on_commit=False)

    async def __aenter__(self) -> Self:
        """Migrates up.

        Raises:
            NewerStore: a newer program has changed the tables.
            StoreError: the folder of the file cannot be made.
            StoreAway: the database does not answer.
        """
        try:
            await self.migrate()
        except BaseException:
            await self.close()
            raise
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def close(self) -> None:
        """Gives up the connections; a store that was never entered may have some."""
        await self._engine.dispose()
        if self._looks is not None:
            self._looks.close()

    @asynccontextmanager
    async def begin(self) -> AsyncIterator[AsyncSession]:
        """A transaction, which may write; in SQLite one goes after the other.

        Raises:
            StoreAway: the database does not answer, or cannot be written to.
            StoreFull: it has no room.
        """
        async with self._session({}) as session:
            yield session

    @asynccontextmanager
    async def reading(self) -> AsyncIterator[AsyncSession]:
        """The same, which only reads: nobody waits for it, nor it for writers."""
        async with self._session({_READS: True}) as session:
            yield session

    async def look(self, wanted: Executable) -> Sequence[Any]:
        """The rows of one question, outside a transaction: the fastest way to ask.

        Raises:
            StoreAway: as `begin`.
        """
        with typed(self.where):
            if self._looks is not None:
                return await self._looks.rows(wanted)
            connection = self._engine.connect()
            await self._connected(connection.start())
            try:
                await connection.execution_options(isolation_level="AUTOCOMMIT")
                return (await connection.execute(wanted)).all()
            finally:
                await connection.close()

    async def migrate(self, to: str = HEAD) -> None:
        """Takes the tables up or down to a version.

        Raises:
            StoreError: as `Versions.migrate`; or the folder of the file cannot be made.
            StoreAway: the database does not answer.
        """
        if self._file is not None:
            try:
                self._file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            except OSError as error:
                raise StoreError(f"the folder of {self._file} cannot be made: {error.strerror}") from error
        async with self._session({_MIGRATES: True}) as session:
            await (await session.connection()).run_sync(self.versions.migrate, to)
        # The next connections look at foreign keys again.
        await self._engine.dispose()

    async def version(self) -> str:
        """That of the tables as they are; empty where there are none.

        Raises:
            StoreAway: the database does not answer.
        """
        return await self.run(self.versions.current)

    async def run(self, look: Callable[[Connection], T]) -> T:
        """What a function finds, in a transaction that only reads."""
        async with self.reading() as session:
            return await (await session.connection()).run_sync(look)

    @asynccontextmanager
    async def _session(self, options: dict[str, Any]) -> AsyncIterator[AsyncSession]:
        with typed(self.where):
            async with self._sessions() as session:
                await self._connected(session.connection(execution_options=options))
                yield session
                await session.commit()

    async def _connected(self, connecting: Awaitable[object]) -> None:
        try:
            async with asyncio.timeout(CONNECT_SECONDS + LOCKED_SECONDS):
                await connecting
        except Exception as error:
            # Drivers raise what they like when they cannot connect.
            raise translated(error, self.where) from error


def _begin(connection: Connection) -> None:
    options = connection.get_execution_options()
    if _MIGRATES in options:
        # SQLite changes a table by making it anew, and with the old one would go what refers to it.
        connection.exec_driver_sql("PRAGMA foreign_keys = OFF")
    # A reader that becomes a writer would fail if somebody else had written meanwhile.
    connection.exec_driver_sql("BEGIN" if _READS in options else "BEGIN IMMEDIATE")


def _roll_back(connection: Any, *_: object) -> None:
    """Of a connection that is given up because its task was cancelled.

    The answer to its last question may be there for a while longer, and would keep everybody else from writing.
    """
    with suppress(Exception):
        connection.rollback()


def open_once(url: str) -> str:
    """Migrates the facade's own store up; empty, or why it cannot be opened."""

    async def opened() -> None:
        async with Store(url, MIGRATIONS):
            pass

    try:
        asyncio.run(opened())
    except StoreError as error:
        return str(error)
    except (StoreAway, StoreFull) as error:
        return f"{error.detail} ({place(url)})"
    return ""


async def changed(session: AsyncSession, statement: UpdateBase) -> int:
    """How many rows an UPDATE or a DELETE has changed."""
    return cast("CursorResult[Any]", await session.execute(statement)).rowcount
