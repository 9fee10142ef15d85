"""A ledger of a data set."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TypeVar

from annotation.iharmony4 import Sample
from annotation.ledger import samples
from facade.store.store import Store

MIGRATIONS = "annotation.ledger.migrations"
T = TypeVar("T")


@asynccontextmanager
async def ledger(url: str, names: list[str]) -> AsyncIterator[Store]:
    """With these composites, of which no file is looked at."""
    async with Store(url, MIGRATIONS) as store:
        async with store.begin() as session:
            await samples.register(session, [sample(each) for each in names], ())
        yield store


def sample(name: str) -> Sample:
    subset, _, file = name.partition("/")
    mask = f"{Path(file).stem.rpartition('_')[0]}.png"
    return Sample(name, subset, Path(file), Path(mask), Path(file))


def in_ledger(url: str, names: list[str], work: Callable[[Store], Awaitable[T]]) -> T:
    """What some work on such a ledger gives."""

    async def done() -> T:
        async with ledger(url, names) as store:
            return await work(store)

    return asyncio.run(done())
