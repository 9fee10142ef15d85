"""A store is the same in every database: it is migrated up and down, and keeps what it has acknowledged."""

import argparse
import asyncio
import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from sqlalchemy import delete, inspect, select, text, update
from sqlalchemy.exc import IntegrityError
from structlog.testing import capture_logs

import facade.store_command as command
from concord_client.commands import ExitCode
from facade.accounts import tables as accounts
from facade.accounts.tables import Account, Key, Session
from facade.history import tables as history
from facade.store.address import file_url
from facade.store.errors import NewerStore, StoreAway, StoreError, StoreFull
from facade.store.store import MIGRATIONS, Store
from facade.store.tables import Table, now
from tests.commands import run
from tests.databases import PATIENCE, Sqlite


@pytest.fixture
def url(database) -> Iterator[str]:
    """The address of a database without tables."""

    async def empty() -> None:
        store = Store(database.url, MIGRATIONS)
        async with store.begin() as session:
            await session.execute(text("DROP TABLE IF EXISTS alembic_version"))
            await (await session.connection()).run_sync(Table.metadata.drop_all)
        await store.close()

    asyncio.run(empty())
    return database.url


def account(named: str) -> Account:
    return Account(name=named, likeness=named, password="hash", role="user", created=now())


def test_the_migrations_make_the_tables_that_the_code_declares(url):
    async def differences() -> list[object]:
        async with Store(url, MIGRATIONS) as store:
            return await store.run(
                lambda connection: compare_metadata(MigrationContext.configure(connection), Table.metadata)
            )

    assert accounts and history and asyncio.run(differences()) == []


def test_what_belongs_to_an_account_goes_with_it(url):
    async def left() -> list[int]:
        async with Store(url, MIGRATIONS) as store:
            async with store.begin() as session:
                ann = account("ann")
                session.add(ann)
                await session.flush()
                session.add(Session(hash="1" * 64, account_id=ann.id, created=now(), expires=now()))
                session.add(Key(account_id=ann.id, name="laptop", hash="2" * 64, created=now()))
            async with store.begin() as session:
                await session.execute(delete(Account).where(Account.name == "ann"))
            async with store.reading() as session:
                return [len((await session.scalars(select(kind))).all()) for kind in (Account, Session, Key)]

    assert asyncio.run(left()) == [0, 0, 0]


def test_names_differ_by_case_and_by_trailing_spaces_in_every_database(url):
    async def names() -> list[str]:
        async with Store(url, MIGRATIONS) as store, store.begin() as session:
            session.add_all(account(each) for each in ("ann", "Ann", "änn"))
            await session.flush()
            return list(await session.scalars(select(Account.name).where(Account.name == "Ann")))

    assert asyncio.run(names()) == ["Ann"]


def test_what_is_there_twice_is_told_as_that_and_nothing_of_it_is_kept(url):
    async def kept() -> list[str]:
        async with Store(url, MIGRATIONS) as store:
            with pytest.raises(IntegrityError):
                async with store.begin() as session:
                    session.add_all([account("bob"), account("bob")])
            async with store.reading() as session:
                return list(await session.scalars(select(Account.name)))

    assert asyncio.run(kept()) == []


def test_counts_of_many_writers_at_a_time_are_all_kept(url):
    async def counted() -> int:
        async with Store(url, MIGRATIONS) as store:
            async with store.begin() as session:
                session.add(account("ann"))

            async def count() -> None:
                async with store.begin() as session:
                    await session.execute(update(Account).values(created=Account.created + 1))

            begin = now()
            async with store.begin() as session:
                await session.execute(update(Account).values(created=begin))
            await asyncio.gather(*(count() for _ in range(40)))
            async with store.reading() as session:
                return (await session.scalars(select(Account.created))).one() - begin

    assert asyncio.run(counted()) == 40


def test_of_several_that_open_a_new_store_one_makes_the_tables(url):
    async def versions() -> list[str]:
        async def opened() -> str:
            async with Store(url, MIGRATIONS) as store:
                return await store.version()

        return await asyncio.gather(*(opened() for _ in range(4)))

    assert set(asyncio.run(versions())) == {Store(url, MIGRATIONS).versions.head}


def test_migrations_go_down_to_nothing_and_up_again(url):
    async def tables_left() -> list[list[str]]:
        store, found = Store(url, MIGRATIONS), []
        for target in ("head", *reversed(store.versions.all()), "base", "head"):
            await store.migrate(target)
            found.append(await store.run(lambda connection: sorted(inspect(connection).get_table_names())))
        await store.close()
        return found

    *_, nothing, everything = asyncio.run(tables_left())
    assert nothing == ["alembic_version"] and everything == sorted(["alembic_version", *Table.metadata.tables])


def test_a_store_of_a_newer_program_is_refused_in_words_and_left_as_it_is(url):
    async def opened() -> str:
        async with Store(url, MIGRATIONS) as store, store.begin() as session:
            await session.execute(text("UPDATE alembic_version SET version_num = 'of_tomorrow'"))
        with pytest.raises(NewerStore, match=r"'of_tomorrow'.*a newer one has changed it"):
            async with Store(url, MIGRATIONS):
                raise AssertionError("it was opened")
        return await store.version()

    assert asyncio.run(opened()) == "of_tomorrow"


def test_the_command_tells_the_version_and_migrates(url, monkeypatch):
    monkeypatch.setenv("CONCORD_STORE", url)
    head = Store(url, MIGRATIONS).versions.head
    assert concord("current").stdout == f"no tables (this program: {head})\n"
    assert concord("upgrade").stdout == f"{head} (this program: {head})\n"
    assert concord("downgrade", "base").stdout == f"no tables (this program: {head})\n"


def concord(*words: str):
    def main(arguments) -> int:
        parser = argparse.ArgumentParser()
        command.add_arguments(parser)
        return command.run(parser.parse_args(arguments))

    return run(main, *words)


_WRITER = """
import asyncio, sys
from sqlalchemy import select
from facade.accounts.tables import Account
from facade.store.store import MIGRATIONS, Store
from tests.facade.test_store import account

async def write():
    async with Store(sys.argv[1], MIGRATIONS) as store:
        for number in range(1_000_000):
            async with store.begin() as session:
                session.add_all(account(f"{number}-{each}") for each in "ab")
            print(number, flush=True)

asyncio.run(write())
"""
ENOUGH = 30


@contextmanager
def writing(url: str) -> Iterator[tuple[subprocess.Popen[str], list[int]]]:
    """A program that writes two rows in each transaction, and the numbers that it has said were written."""
    words = [sys.executable, "-c", _WRITER, url]
    process = subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    try:
        acknowledged: list[int] = []
        for line in process.stdout:
            acknowledged.append(int(line))
            if len(acknowledged) == ENOUGH:
                break
        assert len(acknowledged) == ENOUGH
        yield process, acknowledged
    finally:
        process.kill()
        acknowledged += [int(line) for line in process.stdout if re.fullmatch(r"\d+\n", line)]
        process.wait(PATIENCE)
        process.stdout.close()


async def names_in(url: str) -> set[str]:
    async with Store(url, MIGRATIONS) as store, store.reading() as session:
        return set(await session.scalars(select(Account.name)))


def whole(names: set[str], acknowledged: list[int]) -> bool:
    """Whether all that was acknowledged is there, and every transaction with both of its rows."""
    both = {f"{number}-{each}" for number in acknowledged for each in "ab"}
    return both <= names and all(f"{each.partition('-')[0]}-{other}" in names for each in names for other in "ab")


def test_nothing_acknowledged_is_lost_when_the_program_is_killed_in_the_middle_of_writes(url):
    with writing(url) as (process, acknowledged):
        os.kill(process.pid, signal.SIGKILL)
    assert whole(asyncio.run(names_in(url)), acknowledged)


def test_nothing_acknowledged_is_lost_when_the_database_is_killed_and_it_is_asked_again_when_it_is_back(url, database):
    if isinstance(database, Sqlite):
        pytest.skip("a file has no program of its own")

    async def away_and_back() -> set[str]:
        async with Store(url, MIGRATIONS) as store:
            with writing(url) as (process, acknowledged):
                database.kill()
                process.wait(PATIENCE)
            with capture_logs() as logged, pytest.raises(StoreAway) as caught:
                async with store.begin():
                    pass
            assert caught.value.status == 503 and "secret" not in json.dumps(logged)
            database.start()
            async with store.reading() as session:
                names = set(await session.scalars(select(Account.name)))
        assert whole(names, acknowledged)
        return names

    assert asyncio.run(away_and_back())


def test_an_address_where_nothing_listens_is_a_store_that_is_away(closed_url):
    async def ask(url: str) -> None:
        async with Store(url, MIGRATIONS):
            pass

    for scheme in ("postgresql", "mariadb"):
        with pytest.raises(StoreAway):
            asyncio.run(ask(f"{scheme}://ann:secret@{closed_url}/concord"))
    assert concord("--store", f"postgresql://{closed_url}/concord", "current").returncode == ExitCode.NO_ANSWER


def test_a_file_that_is_no_database_or_cannot_be_made_is_told_without_a_traceback(tmp_path):
    (tmp_path / "photo.jpg").write_bytes(b"no database" * 1000)
    (tmp_path / "file").touch()

    async def ask(path: Path) -> None:
        async with Store(file_url(path), MIGRATIONS):
            pass

    with pytest.raises(StoreAway):
        asyncio.run(ask(tmp_path / "photo.jpg"))
    with pytest.raises(StoreError, match="cannot be made"):
        asyncio.run(ask(tmp_path / "file" / "store.db"))


def test_a_full_disk_is_told_as_that_and_what_was_there_is_kept(tmp_path):
    async def filled() -> set[str]:
        url = file_url(tmp_path / "store.db")
        async with Store(url, MIGRATIONS) as store:
            async with store.begin() as session:
                session.add(account("ann"))
            with pytest.raises(StoreFull) as caught:
                async with store.begin() as session:
                    # SQLite's own measure of a disk, of this connection.
                    await session.execute(text("PRAGMA max_page_count = 1"))
                    session.add(account("bob" * 10))
                    for number in range(1000):
                        session.add(account(f"{number}"))
            assert caught.value.status == 507
            return await names_in(url)

    assert asyncio.run(filled()) == {"ann"}


def test_who_reads_does_not_wait_for_who_writes(tmp_path):
    async def read() -> float:
        async with Store(file_url(tmp_path / "store.db"), MIGRATIONS) as store, store.begin() as writing:
            writing.add(account("ann"))
            await writing.flush()
            begin = time.monotonic()
            async with store.reading() as session:
                assert not (await session.scalars(select(Account))).all()
            return time.monotonic() - begin

    assert asyncio.run(read()) < PATIENCE


def test_a_question_that_is_given_up_in_a_transaction_keeps_nobody_from_writing(tmp_path):
    long = "WITH RECURSIVE numbers(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM numbers WHERE n < 1000000)"

    async def visit() -> None:
        async with Store(file_url(tmp_path / "concord.db"), MIGRATIONS) as store:
            asking = asyncio.Event()

            async def ask() -> None:
                async with store.begin() as session:
                    asking.set()
                    await session.execute(text(f"{long} SELECT count(*) FROM numbers"))

            task = asyncio.create_task(ask())
            await asking.wait()
            await asyncio.sleep(0.05)
            task.cancel()
            [given_up] = await asyncio.gather(task, return_exceptions=True)
            assert isinstance(given_up, asyncio.CancelledError)
            async with store.begin() as session:
                await session.execute(text("CREATE TABLE written (number INTEGER)"))

    asyncio.run(visit())
