"""Replicas in front of one store count a key's requests together, and each alone while the store is away."""

import json
import re
import socket
import sys
from collections.abc import Iterator
from contextlib import ExitStack

import httpx
import pytest
from structlog.testing import capture_logs

from facade.access import rates
from facade.settings import Settings, SettingsError
from tests.facade.running import PATIENCE, Facade, running
from tests.facade.store import PASSWORD, Store, needs_redis

KEYS = {name: {"Authorization": f"Bearer {name}"} for name in ("ann", "bob", "cyd")}


@pytest.fixture
def store(tmp_path) -> Iterator[Store]:
    store = Store(tmp_path)
    store.start()
    try:
        yield store
    finally:
        store.kill()


@pytest.fixture
def logged() -> Iterator[list[dict[str, object]]]:
    with capture_logs() as lines:
        yield lines


def replica(stack: ExitStack, url: str) -> Facade:
    """A facade without a Triton, whose keys may ask three times an hour."""
    given = {"api_keys": ",".join(KEYS), "rate_limit": "3/hour", "rates": url}
    return stack.enter_context(running(Settings(triton_url="127.0.0.1:9", page=False, **given)))


@pytest.fixture
def replicas(logged, store, monkeypatch) -> Iterator[list[Facade]]:
    # A busy machine may be slow to ask.
    monkeypatch.setattr(rates, "STORE_SECONDS", PATIENCE)
    with ExitStack() as stack:
        yield [replica(stack, store.url) for _ in range(2)]


def asked(facade: Facade, key: str) -> httpx.Response:
    """What a request of a key is answered: 404 where it is let through."""
    return httpx.get(f"{facade.url}/v1/nothing", headers=KEYS[key], timeout=PATIENCE)


def statuses(key: str, *facades: Facade) -> list[int]:
    return [asked(facade, key).status_code for facade in facades]


def shared(facade: Facade) -> str:
    """What the metric says."""
    text = httpx.get(f"{facade.url}/metrics", headers=KEYS["cyd"], timeout=PATIENCE).text
    return re.search(r"^concord_rates_shared (\S+)$", text, re.MULTILINE)[1]


@needs_redis
def test_two_replicas_count_together_and_tell_the_time_to_wait(replicas):
    one, other = replicas
    assert statuses("ann", one, other, one, other, one) == [404, 404, 404, 429, 429]
    refused = asked(other, "ann")
    assert 3500 < int(refused.headers["retry-after"]) <= 3600 and refused.json()["allowed"] == "3/hour with one key"
    assert statuses("bob", other, other, other, one) == [404, 404, 404, 429]
    assert [shared(each) for each in replicas] == ["1.0", "1.0"]


@needs_redis
def test_without_the_store_each_counts_alone_and_with_it_together_again(replicas, store, logged):
    one, other = replicas
    assert statuses("ann", one, one, other) == [404, 404, 404]
    store.kill()
    # What each has let through itself, it knows.
    assert statuses("ann", one, one, other, other, other) == [404, 429, 404, 404, 429]
    assert [shared(each) for each in replicas] == ["0.0", "0.0"]
    store.start()
    for each in replicas:
        each.wait_until(lambda each=each: each.app.state.rates.shared, "replicas count together again")
    assert statuses("bob", one, other, one, other) == [404, 404, 404, 429]
    told = [line for line in logged if "store" in line]
    assert [line["event"].split("; ")[1] for line in told] == [
        *["each replica counts alone"] * 2,
        *["replicas count together"] * 2,
    ]
    assert PASSWORD not in json.dumps(logged, default=str)


@needs_redis
def test_a_wrong_password_is_as_no_store_and_is_not_logged(store, logged):
    with ExitStack() as stack:
        facade = replica(stack, store.url.replace(PASSWORD, "other-secret"))
        assert statuses("ann", *[facade] * 4) == [404, 404, 404, 429]
        assert shared(facade) == "0.0"
    assert "other-secret" not in json.dumps(logged, default=str)


def test_a_store_that_does_not_answer_holds_nobody_up():
    with ExitStack() as stack:
        silent = stack.enter_context(socket.create_server(("127.0.0.1", 0)))
        facade = replica(stack, f"redis://127.0.0.1:{silent.getsockname()[1]}")
        assert statuses("ann", *[facade] * 4) == [404, 404, 404, 429]
        assert shared(facade) == "0.0"


def test_who_counts_alone_says_nothing_of_a_store():
    with ExitStack() as stack:
        facade = replica(stack, "")
        metrics = httpx.get(f"{facade.url}/metrics", headers=KEYS["ann"], timeout=PATIENCE)
        assert metrics.status_code == 200 and "concord_rates_shared" not in metrics.text


def test_without_its_libraries_the_setting_is_refused_by_its_name(monkeypatch):
    monkeypatch.setitem(sys.modules, "redis.asyncio", None)
    with pytest.raises(SettingsError, match=r"--rates \(CONCORD_RATES\).*concord\[shared\]"):
        rates.rates_of(Settings(rates="redis://localhost"))
