"""A history of a test's own, and a result to keep in it."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from concord.limits import Limits
from concord_client.tasks.harmonize import Harmonize, Harmonized
from facade.accounts.tables import Account
from facade.history.files import Files
from facade.history.history import Bounds, History
from facade.history.result import Result, result_of
from facade.store.store import MIGRATIONS, Store
from facade.store.tables import now
from tests.serving.pictures import encoded, middle, photograph

BEFORE_PNG, AFTER_PNG, MASK_PNG = (
    encoded(photograph(40, 30)),
    encoded(photograph(40, 30)[::-1]),
    encoded(middle(40, 30)),
)
BOUNDS = Bounds(days=7, bytes=2**20)


def result(words: str = "the red ball") -> Result:
    request = Harmonize(BEFORE_PNG, text=words)
    answer = Harmonized(AFTER_PNG, MASK_PNG, score=0.5, seed=2**63 - 1)
    return result_of(request, answer, "drawn", {"steps": "5"}, Limits())


@asynccontextmanager
async def opened(url: str, folder: Path, bounds: Bounds = BOUNDS) -> AsyncIterator[tuple[Store, History]]:
    """The store at a URL, and the history whose files are in a folder."""
    async with Store(url, MIGRATIONS) as store:
        history = History(store, Files(folder), bounds)
        async with history.swept():
            yield store, history


async def account(store: Store, named: str = "ann") -> int:
    """The number of a new account."""
    async with store.begin() as session:
        row = Account(name=named, likeness=named, password="hash", role="user", created=now())
        session.add(row)
        await session.flush()
        return row.id
