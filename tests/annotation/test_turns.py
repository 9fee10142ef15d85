"""Whose turn a sample is: nobody waits for somebody who left, and no two get what one is enough for."""

import asyncio
from collections.abc import Iterator

import pytest
from sqlalchemy import update

from annotation.ledger import expressions, records, samples, turns
from annotation.ledger.tables import SampleRow, Table, Turn
from annotation.ledger.turns import Places
from annotation.record import Annotation, Skipped, Source
from facade.problems import Problem
from facade.store.store import Store
from facade.store.versions import NOTHING
from tests.annotation.ledger import MIGRATIONS, in_ledger
from tests.databases import Database

NAMES = [f"HCOCO/c{number}_1_1.jpg" for number in range(4)]


@pytest.fixture
def url(database: Database) -> Iterator[str]:
    """The address of a database, whose tables are taken down afterwards."""
    yield database.url

    async def down() -> None:
        store = Store(database.url, MIGRATIONS)
        await store.migrate(NOTHING)
        await store.close()

    asyncio.run(down())


async def taken(store: Store, annotator: str, places: Places) -> str | None:
    async with store.begin() as session:
        row = await places.next(session, annotator)
        return row and row.composite


async def answered(store: Store, annotator: str, name: str, words: list[str], places: Places) -> None:
    async with store.begin() as session:
        row = await samples.find(session, name)
        assert row is not None
        turn = await places.claim(session, row, annotator)
        chosen = await expressions.add(session, row.id, Source.OWN, words)
        await turns.answer(session, row, turn, chosen, ())
        await expressions.hand_on(session, row, chosen)


async def expired(store: Store) -> None:
    async with store.begin() as session:
        await session.execute(update(Turn).values({"until": 0}))


def test_each_annotator_gets_a_sample_of_their_own_and_keeps_it(url: str) -> None:
    async def work(store: Store) -> list[str | None]:
        return [await taken(store, each, Places()) for each in ("ada", "grace", "ada", "grace")]

    assert in_ledger(url, NAMES, work) == [NAMES[0], NAMES[1], NAMES[0], NAMES[1]]


def test_many_who_ask_at_once_get_different_samples(url: str) -> None:
    async def work(store: Store) -> list[str | None]:
        return await asyncio.gather(*(taken(store, f"annotator {number}", Places()) for number in range(5)))

    found = in_ledger(url, NAMES, work)
    assert sorted(filter(None, found)) == NAMES and found.count(None) == 1


def test_two_get_the_same_sample_where_two_are_wanted(url: str) -> None:
    async def work(store: Store) -> list[str | None]:
        return [await taken(store, each, Places(2)) for each in ("ada", "grace", "edsger")]

    assert in_ledger(url, NAMES, work) == [NAMES[0], NAMES[0], NAMES[1]]


def test_a_claim_that_expires_is_given_on_and_its_owner_is_told(url: str) -> None:
    async def work(store: Store) -> None:
        assert await taken(store, "ada", Places()) == NAMES[0]
        await expired(store)
        assert await taken(store, "grace", Places()) == NAMES[0]
        await answered(store, "grace", NAMES[0], ["the cat"], Places())
        with pytest.raises(Problem) as refused:
            await answered(store, "ada", NAMES[0], ["the dog"], Places())
        assert (refused.value.code, refused.value.status) == ("sample_taken", 409)

    in_ledger(url, NAMES, work)


def test_a_claim_that_expired_and_that_nobody_took_is_still_good(url: str) -> None:
    async def work(store: Store) -> None:
        assert await taken(store, "ada", Places()) == NAMES[0]
        await expired(store)
        await answered(store, "ada", NAMES[0], ["the cat"], Places())

    in_ledger(url, NAMES, work)


def test_an_answer_can_be_changed_and_counts_once(url: str) -> None:
    async def work(store: Store) -> None:
        await answered(store, "ada", NAMES[0], ["the cat"], Places())
        await answered(store, "ada", NAMES[0], ["the dog", "The Dog."], Places())
        await answered(store, "ada", NAMES[1], [], Places())
        async with store.reading() as session:
            assert await records.records(session) == [
                Annotation(NAMES[0], "the dog", None, Source.OWN, "ada"),
                Skipped(NAMES[1], "ada"),
            ]
            assert (await samples.progress(session, 1)).done == 2 == await turns.count(session, "ada")
            row = await samples.find(session, NAMES[1])
            assert row is not None
            turn = await turns.turn_of(session, row.id, "ada")
            assert turn is not None
            assert await turns.neighbour(session, "ada", turn.answered, later=False) == NAMES[0]
            assert await turns.neighbour(session, "ada", None, later=False) == NAMES[1]

    in_ledger(url, NAMES, work)


def test_what_was_chosen_is_suggested_for_other_composites_of_the_object(url: str) -> None:
    names = ["HCOCO/c1_1_1.jpg", "HCOCO/c1_1_2.jpg", "HCOCO/c1_2_1.jpg"]

    async def shown(store: Store, name: str) -> list[tuple[str, str]]:
        async with store.reading() as session:
            row = await samples.find(session, name)
            assert row is not None
            return [(each.words, each.source) for each in await expressions.shown(session, row.id, "grace")]

    async def work(store: Store) -> list[list[tuple[str, str]]]:
        await answered(store, "ada", names[0], ["the cat"], Places())
        await answered(store, "ada", names[1], ["A cat!"], Places())
        return [await shown(store, each) for each in names]

    assert in_ledger(url, names, work) == [[], [("the cat", "earlier")], []]


def test_what_is_gone_from_the_data_set_is_not_asked_and_what_is_new_is(url: str) -> None:
    async def again(store: Store) -> list[str | None]:
        return [await taken(store, each, Places()) for each in ("grace", "edsger", "barbara", "tony")]

    in_ledger(url, NAMES, lambda store: taken(store, "ada", Places()))
    assert in_ledger(url, ["HCOCO/b1_1_1.jpg", *NAMES[2:]], again) == ["HCOCO/b1_1_1.jpg", *NAMES[2:], None]


def test_the_migrations_make_the_tables_that_the_code_has(url: str) -> None:
    from alembic.autogenerate import compare_metadata
    from alembic.migration import MigrationContext

    async def work(store: Store) -> list[object]:
        return await store.run(
            lambda connection: compare_metadata(MigrationContext.configure(connection), Table.metadata)
        )

    assert in_ledger(url, [], work) == []
    assert SampleRow.__tablename__ in Table.metadata.tables
