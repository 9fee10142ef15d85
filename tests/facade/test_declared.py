"""What no route takes is refused by what a request declares, before keys and bodies, and is counted by its reason."""

import socket
from collections.abc import Iterator

import httpx
import pytest

from facade.access.declared import METHODS, TYPES, Declared
from facade.settings import SCANNERS, Settings
from tests.facade.running import PATIENCE, Facade, running


@pytest.fixture(scope="module")
def locked() -> Iterator[Facade]:
    """A facade without a Triton that asks for a key."""
    with running(Settings(triton_url="127.0.0.1:9", page=False, api_keys="key")) as facade:
        yield facade


def refused(facade: Facade, method: str = "POST", **headers: str) -> tuple[int, str]:
    answer = httpx.request(method, f"{facade.url}/v1/harmonize", headers=headers, timeout=PATIENCE)
    return answer.status_code, answer.json()["type"].rpartition(":")[2]


def test_a_method_that_nothing_takes_is_refused_with_those_that_are(locked):
    answer = httpx.request("TRACE", f"{locked.url}/", timeout=PATIENCE)
    assert answer.status_code == 405 and answer.headers["allow"] == ", ".join(METHODS)


def test_a_program_that_looks_for_holes_is_refused_and_others_are_not(locked):
    assert refused(locked, **{"User-Agent": f"{SCANNERS[0]}/1.7 (https://sqlmap.org)"}) == (403, "refused_agent")
    for agent in ("Mozilla/5.0 (X11; Linux x86_64) Firefox/140.0", "curl/7.88.1", ""):
        assert refused(locked, **{"User-Agent": agent}) == (401, "unauthorized")


def test_which_programs_are_refused_is_a_setting():
    settings = Settings(triton_url="127.0.0.1:9", page=False, refused_agents="Robot")
    with running(settings) as facade:
        assert refused(facade, "GET", **{"User-Agent": "A robot"}) == (403, "refused_agent")
        assert refused(facade, "GET", **{"User-Agent": SCANNERS[0]}) == (405, "method_not_allowed")
    assert Settings(refused_agents="none").refused_agents == ()


@pytest.mark.parametrize("declared", ["text/xml", "image/png", "application/x-java-serialized-object", "x" * 200])
def test_a_body_of_a_type_that_nothing_takes_is_refused(locked, declared):
    answer = httpx.post(f"{locked.url}/v1/harmonize", content=b"<a/>", headers={"Content-Type": declared})
    assert answer.status_code == 415 and answer.json()["field"] == "Content-Type"
    assert answer.json()["allowed"] == ", ".join(TYPES) and "x" * 100 not in answer.text


def test_a_body_that_is_too_large_for_everything_is_refused_before_it_is_sent(locked):
    most = Declared(locked.app, Settings()).largest
    for length, status in ((most + 1, b"413"), (most, b"401")):
        head = f"POST /v1/harmonize HTTP/1.1\r\nHost: {locked.host}\r\nContent-Length: {length}\r\n\r\n"
        with socket.create_connection((locked.host, locked.port), timeout=PATIENCE) as connection:
            connection.sendall(head.encode())
            assert connection.recv(4096).startswith(b"HTTP/1.1 " + status)


def test_refusals_are_counted_by_their_reason(locked):
    refused(locked, **{"User-Agent": SCANNERS[1]})
    metrics = httpx.get(f"{locked.url}/metrics", headers={"Authorization": "Bearer key"}, timeout=PATIENCE).text
    assert 'concord_rejections_total{reason="refused_agent",route="other"}' in metrics
