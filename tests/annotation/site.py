"""The page of a data set, asked without a network."""

import asyncio
import re
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import httpx

from annotation.ahead import Ahead
from annotation.iharmony4 import read_dataset
from annotation.ledger import records, samples
from annotation.ledger.turns import Places
from annotation.page.app import create_app
from annotation.page.workplace import Workplace
from annotation.qualification import Qualification
from annotation.record import Record
from facade.access.keys import Keys
from facade.access.rates import rates_of
from facade.accounts.accounts import Accounts
from facade.settings import Settings
from facade.store.address import file_url
from facade.store.store import Store
from tests.annotation.ledger import MIGRATIONS

HERE = "http://127.0.0.1"
T = TypeVar("T")
ONE = Places()


@dataclass(frozen=True)
class Person:
    """Somebody with a browser without scripts."""

    http: httpx.AsyncClient

    async def enters(self, name: str = "ada", key: str = "") -> None:
        """Signs in, and reads the guide."""
        await self.sends("/enter", name=name, key=key)
        await self.sends("/guide")

    async def sees(self, path: str) -> str:
        """A page, wherever the path leads."""
        answer = await self.http.get(path, headers={"Accept": "text/html"}, follow_redirects=True)
        assert answer.status_code == 200, answer.text
        return answer.text

    async def sends(self, path: str, method: str = "POST", **fields: Any) -> httpx.Response:
        """A form."""
        return await self.http.request(method, path, data={"sent": "1", **fields})


@dataclass(frozen=True)
class Site:
    """The page, and what is behind it."""

    workplace: Workplace
    app: Any

    @asynccontextmanager
    async def person(self, **headers: str) -> AsyncIterator[Person]:
        async with httpx.AsyncClient(
            transport=httpx.ASGITransport(self.app, raise_app_exceptions=False), base_url=HERE, headers=headers
        ) as http:
            yield Person(http)

    async def records(self) -> list[Record]:
        async with self.workplace.store.reading() as session:
            return await records.records(session)


@asynccontextmanager
async def site(
    folder: Path, places: Places = ONE, qualification: Qualification | None = None, **settings: Any
) -> AsyncIterator[Site]:
    """The page of a data set, whose answers are in a file beside it."""
    dataset = {each.name: each for each in read_dataset(folder).samples}
    chosen = Settings(**settings)
    async with Store(file_url(folder / "annotations.db"), MIGRATIONS) as store:
        async with store.begin() as session:
            await samples.register(session, list(dataset.values()), qualification.answers if qualification else ())
        ahead = Ahead(store, dataset, wanted=places.wanted)
        rates = rates_of(chosen)
        accounts = Accounts(chosen, rates) if chosen.accounts != "off" else None
        workplace = Workplace(chosen, store, dataset, places, ahead, Keys(chosen), qualification, accounts)
        async with rates, accounts or nullcontext():
            yield Site(workplace, create_app(workplace))


def visited(folder: Path, work: Callable[[Site], Awaitable[T]], *arguments: Any, **settings: Any) -> T:
    """What somebody's visit to such a page gives."""

    async def done() -> T:
        async with site(folder, *arguments, **settings) as found:
            return await work(found)

    return asyncio.run(done())


def action(page: str) -> str:
    """Where the form of a sample is sent to."""
    found = re.search(r'action="(/samples/[^"]+)"', page)
    assert found is not None, page
    return found[1]


def options(page: str) -> Mapping[str, str]:
    """Numbers of the expressions of a page, by their words."""
    return {
        words: number
        for number, words in re.findall(r'name="chosen" value="(\d+)".*?class="words">([^<]+)<', page, re.DOTALL)
    }
