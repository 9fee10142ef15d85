"""``/healthz`` says that the facade lives, ``/readyz`` only what was found out by asking."""

import asyncio
import socket
from importlib.metadata import version

import httpx
import pytest

from facade.settings import Settings
from facade.work.probe import Readiness
from tests.facade.running import PATIENCE, running
from tests.facade.sending import problem


class Triton:
    """Answers probes as it is told to; writes down which of them had to be asked now."""

    def __init__(self, *answers: bool | Exception) -> None:
        self._answers = list(answers)
        self.asked_now: list[bool] = []
        self.exhausted = asyncio.Event()

    async def probe(self, *, now: bool) -> bool:
        if not self._answers:
            self.exhausted.set()
            await asyncio.Event().wait()
        self.asked_now.append(now)
        answer = self._answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer


async def readiness_after(triton: Triton, interval: float = 0.001) -> bool:
    async with Readiness(triton.probe, interval) as readiness:
        await asyncio.wait_for(triton.exhausted.wait(), PATIENCE)
        # Only the last answer counts here, not when it came.
        readiness._interval = 1000.0
        return readiness.ready


def test_a_facade_whose_triton_answers_is_ready(facade, http):
    facade.wait_until(lambda: facade.app.state.readiness.ready)
    assert (http.get("/healthz").status_code, http.get("/healthz").json()) == (200, {"status": "ok"})
    assert (http.get("/readyz").status_code, http.get("/readyz").json()) == (200, {"status": "ready"})


def test_a_facade_that_is_as_its_pool_wants_it_is_ready(facade, http):
    facade.wait_until(lambda: facade.app.state.readiness.ready)
    models = [("model", each["name"]) for each in http.get("/v1/models").json()["data"]]
    wanted = [("version", version("concord")), ("keys", "false"), ("max_pixels", str(Settings().max_pixels)), *models]
    assert len(models) > 1 and http.get("/readyz", params=wanted).status_code == 200


@pytest.mark.parametrize(
    "name, value", [("version", "0.0.1"), ("keys", "true"), ("max_pixels", "7"), ("model", "nobody's\r\nX-A: b")]
)
def test_a_facade_that_is_otherwise_says_what_is(facade, http, name, value):
    facade.wait_until(lambda: facade.app.state.readiness.ready)
    answer = http.get("/readyz", params={name: value})
    assert problem(answer)[:3] == (409, "wrong_replica", name)
    assert answer.json()["detail"] == answer.headers["x-concord-problem"] and "x-a" not in answer.headers
    assert answer.headers["x-concord-problem"].startswith(f"{name} is ")


def test_what_no_pool_can_want_is_refused(http):
    status, code, _, allowed = problem(http.get("/readyz", params={"api_keys_file": "/etc/keys"}))
    assert (status, code) == (400, "unexpected_field") and "max_pixels" in allowed


def test_a_facade_without_a_triton_lives_and_is_not_ready():
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        settings = Settings(triton_url=f"127.0.0.1:{silent.getsockname()[1]}", page=False, probe_interval=0.05)
        with running(settings) as facade:
            assert httpx.get(f"{facade.url}/healthz").status_code == 200
            answer = httpx.get(f"{facade.url}/readyz")
            assert answer.status_code == 503 and int(answer.headers["retry-after"]) >= 1
            assert answer.json()["type"] == "urn:concord:problem:unavailable"


def test_nobody_is_ready_before_the_first_answer():
    assert not Readiness(Triton().probe, 1.0).ready


def test_the_last_probe_decides():
    async def after(*answers: bool | Exception) -> bool:
        return await readiness_after(Triton(*answers))

    assert asyncio.run(after(False, True))
    assert not asyncio.run(after(True, False))


def test_a_probe_that_breaks_is_one_that_failed_and_not_the_last():
    assert asyncio.run(readiness_after(Triton(RuntimeError(), True)))


def test_an_answer_of_long_ago_is_none():
    async def ready() -> bool:
        async with Readiness(Triton(True).probe, 1000.0) as readiness:
            while not readiness.ready:
                await asyncio.sleep(0)
            readiness._answered -= 4000.0
            return readiness.ready

    assert not asyncio.run(ready())


def test_after_a_failure_it_is_asked_at_once_and_anew():
    async def asked() -> list[bool]:
        triton = Triton(True, True)
        async with Readiness(triton.probe, 1000.0) as readiness:
            while not readiness.ready:
                await asyncio.sleep(0)
            readiness.doubt()
            while len(triton.asked_now) < 2:
                await asyncio.sleep(0)
            return triton.asked_now

    assert asyncio.run(asyncio.wait_for(asked(), PATIENCE)) == [False, True]


def test_who_stops_is_not_ready():
    async def ready() -> bool:
        async with Readiness(Triton(True).probe, 1000.0) as readiness:
            while not readiness.ready:
                await asyncio.sleep(0)
            readiness.stop()
            return readiness.ready

    assert not asyncio.run(ready())
