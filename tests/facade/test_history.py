"""Results are kept whole or not at all, for their time and size, as files that tell nothing, for one account."""

import asyncio
import os
import re
import resource
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest
from sqlalchemy import delete, select, text, update

from concord.limits import Limits
from concord_client.tasks.edit import Edit, Edited
from concord_client.tasks.harmonize import Harmonize, Harmonized
from concord_client.tasks.select import Select, Selected
from facade.accounts.tables import Account
from facade.history.files import Files
from facade.history.history import UNREADY_SECONDS, History
from facade.history.result import AFTER, BEFORE, MASK, Told, repeated, repeated_settings, result_of
from facade.history.sealed import OVERHEAD_BYTES, Damaged, Sealed
from facade.history.tables import Kept
from facade.problems import Problem
from facade.store.address import file_url
from facade.store.store import MIGRATIONS, Store
from facade.store.tables import Table, now
from tests.databases import PATIENCE
from tests.facade.keeping import AFTER_PNG, BEFORE_PNG, BOUNDS, MASK_PNG, account, opened, result

SIZE = sum(len(each) + OVERHEAD_BYTES for each in result().pictures.values())


@pytest.fixture
def url(database) -> str:
    """The address of a database without tables."""

    async def empty() -> None:
        store = Store(database.url, MIGRATIONS)
        async with store.begin() as session:
            await session.execute(text("DROP TABLE IF EXISTS alembic_version"))
            await (await session.connection()).run_sync(Table.metadata.drop_all)
        await store.close()

    asyncio.run(empty())
    return database.url


@pytest.fixture
def sqlite(tmp_path) -> str:
    """The same of a file, for what does not differ from one database to the next."""
    return file_url(tmp_path / "store.db")


@pytest.fixture
def folder(tmp_path) -> Path:
    return tmp_path / "results"


async def tokens(history: History, owner: int) -> list[str]:
    return [each.token for each in await history.page(owner, None, 100)]


async def states(store: Store) -> list[bool]:
    """Of every row whether it is ready."""
    async with store.reading() as session:
        return list(await session.scalars(select(Kept.ready)))


def files(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


def test_what_is_kept_is_found_again_by_its_account_alone(url, folder):
    async def keep() -> None:
        async with opened(url, folder) as (store, history):
            ann, bob = await account(store), await account(store, "bob")
            first, second = await history.keep(ann, result()), await history.keep(ann, result("a cup"))
            assert await tokens(history, ann) == [second, first]
            [older] = await history.page(ann, second, 10)
            assert (older.words, older.seed, older.model, older.size) == ("the red ball", 2**63 - 1, "drawn", SIZE)
            for part, content in {BEFORE: BEFORE_PNG, AFTER: AFTER_PNG, MASK: MASK_PNG}.items():
                assert await history.picture(older, part) == content
            assert await history.taken(ann) > SIZE and await tokens(history, bob) == []
            for forbidden in (history.one(bob, first), history.remove(bob, first), history.page(bob, first, 10)):
                with pytest.raises(Problem, match="not_found"):
                    await forbidden
            assert await history.remove(ann, first) == 1
            assert await tokens(history, ann) == [second] and len(files(folder)) == len(result().pictures)

    asyncio.run(keep())


def test_the_oldest_results_make_room_for_new_ones(url, folder):
    async def keep() -> None:
        async with opened(url, folder, replace(BOUNDS, bytes=2 * SIZE)) as (store, history):
            ann, bob = await account(store), await account(store, "bob")
            of_bob = await history.keep(bob, result())
            of_ann = [await history.keep(ann, result()) for _ in range(3)]
            assert await tokens(history, ann) == of_ann[:0:-1] and await tokens(history, bob) == [of_bob]
            assert len(files(folder)) == 3 * len(result().pictures) and await history.taken(ann) == 2 * SIZE
            await asyncio.gather(*(history.keep(ann, result()) for _ in range(4)))
            assert await history.taken(ann) <= 2 * SIZE

    asyncio.run(keep())


def test_a_result_that_is_ready_late_leaves_no_more_than_is_allowed(url, folder, monkeypatch):
    write, begun, goes_on = Files.write, threading.Event(), threading.Event()

    def late_once(files, contents):
        if not begun.is_set():
            begun.set()
            assert goes_on.wait(PATIENCE)
        write(files, contents)

    async def keep() -> None:
        async with opened(url, folder, replace(BOUNDS, bytes=2 * SIZE)) as (store, history):
            ann = await account(store)
            monkeypatch.setattr(Files, "write", late_once)
            late = asyncio.create_task(history.keep(ann, result()))
            assert await asyncio.to_thread(begun.wait, PATIENCE)
            newer = [await history.keep(ann, result()) for _ in range(2)]
            goes_on.set()
            token = await late
            assert await tokens(history, ann) == [newer[1], token] and await history.taken(ann) == 2 * SIZE

    asyncio.run(keep())


def test_results_go_with_their_account_and_their_files_cannot_be_read_any_more(url, folder):
    async def keep() -> None:
        async with opened(url, folder) as (store, history):
            ann, bob = await account(store), await account(store, "bob")
            await history.keep(ann, result())
            of_bob = await history.keep(bob, result())
            async with store.begin() as session:
                await session.execute(delete(Account).where(Account.id == ann))
            assert await states(store) == [True]
            await history.sweep()
            assert len(files(folder)) == len(result().pictures) and await tokens(history, bob) == [of_bob]
            with pytest.raises(Problem, match="the account is gone"):
                await history.keep(ann, result())

    asyncio.run(keep())


def test_a_result_that_alone_is_more_than_an_account_may_have_is_refused(url, folder):
    async def keep() -> None:
        async with opened(url, folder, replace(BOUNDS, bytes=SIZE - 1)) as (store, history):
            with pytest.raises(Problem, match=r"\[request_too_large\] keep: .*allowed: \d+ bytes"):
                await history.keep(await account(store), result())
            assert await states(store) == [] and files(folder) == set()

    asyncio.run(keep())


def test_a_result_is_kept_for_its_days(url, folder):
    async def keep() -> None:
        async with opened(url, folder) as (store, history):
            ann = await account(store)
            token = await history.keep(ann, result())
            kept = await history.one(ann, token)
            assert kept.expires - kept.created == BOUNDS.days * 86_400
            async with store.begin() as session:
                await session.execute(update(Kept).values(expires=now()))
            assert await tokens(history, ann) == []
            await history.sweep()
            assert await states(store) == [] and files(folder) == set()

    asyncio.run(keep())


def test_names_and_contents_of_files_tell_nothing(url, folder):
    async def keep() -> None:
        async with opened(url, folder) as (store, history):
            ann = await account(store)
            await history.keep(ann, result())
            await history.keep(ann, result())

    asyncio.run(keep())
    found = {path.name: path.read_bytes() for path in folder.iterdir()}
    assert len(found) == 2 * len(result().pictures) == len(set(found.values()))
    for path in folder.iterdir():
        assert re.fullmatch("[0-9a-f]{64}", path.name) and path.stat().st_mode & 0o077 == 0
        assert b"PNG" not in path.read_bytes()[:64] and b"JFIF" not in path.read_bytes()[:64]


def test_a_file_is_opened_only_with_its_secret_and_only_as_what_it_was():
    sealed = Sealed.new()
    content = sealed.seal(AFTER, b"picture")
    assert len(content) == len(b"picture") + OVERHEAD_BYTES and sealed.open(AFTER, content) == b"picture"
    for other, part, given in (
        (Sealed.new(), AFTER, content),
        (sealed, BEFORE, content),
        (sealed, AFTER, content[:-1]),
        (sealed, AFTER, b""),
    ):
        with pytest.raises(Damaged):
            other.open(part, given)


def test_a_file_that_is_gone_or_changed_is_told_as_that(url, folder):
    async def keep() -> None:
        async with opened(url, folder) as (store, history):
            ann = await account(store)
            kept = await history.one(ann, await history.keep(ann, result()))
            (folder / Sealed(kept.secret).name(AFTER)).write_bytes(b"another")
            (folder / Sealed(kept.secret).name(MASK)).unlink()
            for part in (AFTER, MASK, "../store.db"):
                with pytest.raises(Problem, match="not_found"):
                    await history.picture(kept, part)

    asyncio.run(keep())


@contextmanager
def full_disk() -> Iterator[None]:
    """One on which no file can have more than some bytes, as the kernel has it for this process."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (2**19, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def test_a_full_disk_is_told_as_that_and_leaves_nothing_half_kept(url, folder):
    async def keep() -> None:
        async with opened(url, folder / "results") as (store, history):
            ann = await account(store)
            kept = await history.keep(ann, result())
            large = replace(result(), pictures={**result().pictures, AFTER: os.urandom(2**20 - 2**17)})
            with full_disk(), pytest.raises(Problem, match="no_room") as caught:
                await history.keep(ann, large)
            assert caught.value.status == 507 and await states(store) == [True]
            assert await tokens(history, ann) == [kept]
            assert len(files(folder / "results")) == len(result().pictures)

    asyncio.run(keep())


def test_who_stops_waiting_has_the_result_kept_whole(url, folder):
    async def keep() -> None:
        async with opened(url, folder) as (store, history):
            ann = await account(store)
            keeping = asyncio.create_task(history.keep(ann, result()))
            await asyncio.sleep(0)
            keeping.cancel()
            await asyncio.wait([keeping])
        assert keeping.cancelled()
        async with opened(url, folder) as (store, history):
            [token] = await tokens(history, ann)
            assert await history.picture(await history.one(ann, token), AFTER) == AFTER_PNG

    asyncio.run(keep())


_KEEPER = """
import asyncio, sys
from pathlib import Path
from tests.facade.keeping import account, opened, result

async def keep():
    async with opened(sys.argv[1], Path(sys.argv[2])) as (store, history):
        ann = await account(store)
        async def go_on():
            while True:
                print(await history.keep(ann, result()), flush=True)
        await asyncio.gather(go_on(), go_on())

asyncio.run(keep())
"""
ENOUGH = 20


def test_nothing_acknowledged_is_lost_when_the_program_is_killed_in_the_middle_of_keeping(sqlite, folder):
    words = [sys.executable, "-c", _KEEPER, sqlite, str(folder)]
    with subprocess.Popen(words, stdout=subprocess.PIPE, text=True) as process:
        try:
            acknowledged = [process.stdout.readline().strip() for _ in range(ENOUGH)]
        finally:
            os.kill(process.pid, signal.SIGKILL)
        acknowledged += [line.strip() for line in process.stdout if re.fullmatch(r"[0-9a-f]{32}\n", line)]
        process.wait(PATIENCE)

    async def look() -> None:
        async with opened(sqlite, folder) as (store, history):
            async with store.begin() as session:
                # What was begun has had its time.
                late = update(Kept).where(~Kept.ready).values(created=Kept.created - UNREADY_SECONDS)
                await session.execute(late)
                owner = (await session.scalars(select(Account.id))).one()
            await history.sweep()
            rows = await history.page(owner, None, 1000)
            assert acknowledged and set(acknowledged) <= {each.token for each in rows} and all(await states(store))
            for row in rows:
                assert await history.picture(row, AFTER) == AFTER_PNG
            assert files(folder) == {
                Sealed(row.secret).name(part) for row in rows for part in Told.model_validate_json(row.told).parts
            }

    asyncio.run(look())


def test_a_result_gives_the_request_that_repeats_it():
    kept = result()
    again = repeated(Harmonize, kept.told, kept.pictures)
    assert again == Harmonize(BEFORE_PNG, text="the red ball")
    assert repeated_settings(kept.told, kept.seed) == {"steps": "5", "seed": str(2**63 - 1)}
    masked = result_of(Harmonize(BEFORE_PNG, mask=MASK_PNG), Harmonized(AFTER_PNG), "drawn", {}, Limits())
    assert repeated(Harmonize, masked.told, masked.pictures) == Harmonize(BEFORE_PNG, mask=MASK_PNG)
    assert repeated_settings(masked.told, masked.seed) == {} and masked.words == ""


def test_every_picture_of_an_answer_is_a_part():
    edited = Edited(AFTER_PNG, (MASK_PNG, BEFORE_PNG), (0.5, 0.4, 0.3), seed=1)
    parts = result_of(Edit(BEFORE_PNG, MASK_PNG, "a hat"), edited, "drawn", {}, Limits()).pictures
    assert [parts[each] for each in ("after", "after-2", "after-3", "mask")] == [
        AFTER_PNG,
        MASK_PNG,
        BEFORE_PNG,
        MASK_PNG,
    ]
    asked = Select(BEFORE_PNG, points=[(1, 2, 1)])
    selected = result_of(asked, Selected((MASK_PNG, AFTER_PNG), (0.5, 0.4)), "found", {}, Limits())
    assert {"after", "after-2"} < selected.pictures.keys() and "mask" not in selected.pictures
    assert repeated(Select, Told.model_validate_json(selected.told.model_dump_json()), selected.pictures) == replace(
        asked, points=[[1, 2, 1]]
    )
    with pytest.raises(Problem, match="request_too_large"):
        result_of(replace(asked, points=[0.0] * 60_000), Selected((MASK_PNG,), (1.0,)), "found", {}, Limits())
