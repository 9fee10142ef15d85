"""Accounts are the same in every database."""

import asyncio

import pytest

from facade.access.rates import Rates
from facade.accounts.accounts import Accounts
from facade.problems import Problem
from facade.settings import Settings

PASSWORD = "correct horse battery"


def test_somebody_registers_asks_and_is_removed(database):
    async def lived() -> list[object]:
        settings = Settings(accounts="open", store=database.url, pictures=2)
        async with Accounts(settings, Rates()) as accounts:
            await accounts.people.add("root", PASSWORD, "administrator")
            ann, token = await accounts.register("Ann", PASSWORD, "", "10.0.0.1")
            holder = await accounts.entrance.by_session(token)
            row, key = await accounts.keys.make(ann.id, "laptop")
            told: list[object] = [holder, row.name]
            for _ in range(2):
                await accounts.pictures.count(holder, 2)
            for code, work in (
                ("rate_limited", accounts.pictures.count(holder, 2)),
                ("name_taken", accounts.register("ANN", PASSWORD, "", "10.0.0.1")),
                ("name_taken", accounts.keys.make(ann.id, "laptop")),
                ("unauthorized", accounts.sessions.begin("ann", "wrong password", "10.0.0.2")),
                ("forbidden", accounts.people.remove("root")),
            ):
                with pytest.raises(Problem) as caught:
                    await work
                assert caught.value.code == code
            invitation, _ = await accounts.people.invite()
            told += [each.name for each, pictures in await accounts.people.all() if pictures == 2]
            await accounts.people.change("ann", role="annotator", blocked=True, limits="rate=1/hour")
            told += [invitation.role, await accounts.entrance.by_session(token)]
            await accounts.people.remove("ann")
            return [*told, len(await accounts.keys.of(ann.id)), key.startswith("concord-")]

    assert asyncio.run(lived()) == ["account/ann", "laptop", "ann", "user", None, 0, True]
