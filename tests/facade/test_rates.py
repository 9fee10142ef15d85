"""A key may ask only so often, and is told when it may ask again."""

import asyncio
import re
import time

import httpx
import pytest

from concord.server.embedded import EmbeddedServer
from concord_client import AsyncClient, Unavailable
from facade.access.rates import Rates
from facade.problems import Problem
from facade.settings import Settings
from tests.facade.running import PATIENCE, Facade, running


async def wait(rates: Rates, name: str, rate: str) -> float:
    """Seconds until the key may ask again; 0 where it may now."""
    try:
        await rates.count(name, rate)
    except Problem as problem:
        assert problem.code == "rate_limited" and problem.retry_after is not None
        return problem.retry_after
    return 0


def waits(rate: str, *names: str) -> list[float]:
    rates = Rates()

    async def ask() -> list[float]:
        return [await wait(rates, name, rate) for name in names]

    return asyncio.run(ask())


def test_requests_over_the_rate_have_to_wait():
    first, second, third = waits("2/hour", "ann", "ann", "ann")
    assert (first, second) == (0, 0) and 0 < third <= 3600


def test_a_key_does_not_use_up_what_another_has():
    assert waits("1/hour", "ann", "bob") == [0, 0]


@pytest.mark.parametrize("days", [1, -1])
def test_a_clock_that_is_set_changes_no_rate(monkeypatch, days):
    rates, clock = Rates(), time.time

    async def ask() -> list[bool]:
        counted = [await wait(rates, "ann", "2/hour") == 0]
        monkeypatch.setattr(time, "time", lambda: clock() + days * 86_400)
        return [*counted, *[await wait(rates, "ann", "2/hour") == 0 for _ in range(2)]]

    assert asyncio.run(ask()) == [True, True, False]


def test_what_was_refused_does_not_count():
    rates = Rates()

    async def ask() -> int:
        assert await wait(rates, "ann", "1/second") == 0
        refused = 0
        while await wait(rates, "ann", "1/second"):
            refused += 1
            await asyncio.sleep(0.01)
        return refused

    assert asyncio.run(asyncio.wait_for(ask(), PATIENCE)) > 0


def test_over_the_rate_a_request_is_refused_with_the_time_to_wait(server):
    settings = Settings(triton_url=server.grpc_url, page=False, api_keys="ann,bob", rate_limit="2/hour")
    with running(settings) as facade, httpx.Client(base_url=facade.url, timeout=PATIENCE) as client:
        ann, bob = {"Authorization": "Bearer ann"}, {"Authorization": "Bearer bob"}
        answers = [client.get("/v1/models", headers=ann) for _ in range(3)]
        assert [answer.status_code for answer in answers] == [200, 200, 429]
        problem = answers[-1].json()
        assert problem["type"] == "urn:concord:problem:rate_limited" and problem["allowed"] == "2/hour with one key"
        assert 0 < int(answers[-1].headers["retry-after"]) <= 3600
        assert client.get("/v1/models", headers=bob).status_code == 200
        # What tells how the facade is does not count.
        assert client.get("/metrics", headers=ann).status_code == 200


ANN = {"Authorization": "Bearer ann"}


async def harmonized(facade: Facade, server: EmbeddedServer, times: int, **given: object) -> list[bytes]:
    """What the client is answered by the facade."""
    async with (
        AsyncClient(server.grpc_url) as direct,
        AsyncClient(facade.url.removeprefix("http://"), protocol="http") as client,
    ):
        # The facade has no list of Triton's models, which the client would ask for.
        client._catalogue = await direct.catalogue()
        return [(await client.harmonize(headers=ANN, **given)).image for _ in range(times)]


def refused(facade: Facade) -> list[str]:
    """The counts of what was refused."""
    return re.findall(
        r"^concord_rejections_total\{.*rate_limited.*\} (\S+)$",
        httpx.get(f"{facade.url}/metrics", headers=ANN).text,
        re.MULTILINE,
    )


def test_the_client_waits_as_long_as_it_is_told_and_is_answered(server, image, mask):
    settings = Settings(triton_url=server.grpc_url, page=False, api_keys="ann", rate_limit="1/2second")
    with running(settings) as facade:
        answers = asyncio.run(harmonized(facade, server, 2, image=image, mask=mask, timeout=PATIENCE))
        assert answers[0] == answers[1] and refused(facade) in ([], ["1.0"])


def test_a_client_that_cannot_wait_so_long_is_told_how_long_it_would_be(server, image, mask):
    settings = Settings(triton_url=server.grpc_url, page=False, api_keys="ann", rate_limit="1/hour")
    with running(settings) as facade:
        with pytest.raises(Unavailable, match="rate_limited") as refusal:
            asyncio.run(harmonized(facade, server, 2, image=image, mask=mask, timeout=PATIENCE))
        assert 3000 < refusal.value.retry_after <= 3600 and refused(facade) == ["1.0"]
