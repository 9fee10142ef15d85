"""A key whose line is gone from the file lets nobody in from then on, and what it was accepted for is answered."""

import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import pytest

from facade.access.cookie import COOKIE
from facade.access.keys import hash_of
from facade.settings import Settings
from tests.facade.running import PATIENCE, Facade, running
from tests.facade.test_keys import ANN, BOB, bearer

ANN_LINE, BOB_LINE = f"ann {hash_of(ANN)}\n", f"bob {hash_of(BOB)}\n"


@pytest.fixture
def hashes(tmp_path) -> Path:
    path = tmp_path / "hashes"
    path.write_text(ANN_LINE + BOB_LINE)
    return path


@pytest.fixture
def keyed(hashes) -> Iterator[Facade]:
    """A facade with the page and the file of keys, without a Triton."""
    with running(Settings(triton_url="127.0.0.1:9", api_keys_file=hashes)) as facade:
        yield facade


def accepted(facade: Facade) -> tuple[bool, bool]:
    """Whether Ann's and Bob's keys are."""
    answers = [httpx.get(f"{facade.url}/metrics", headers=bearer(key), timeout=PATIENCE) for key in (ANN, BOB)]
    assert {answer.status_code for answer in answers} <= {200, 401}
    return answers[0].status_code == 200, answers[1].status_code == 200


def test_a_key_is_revoked_and_given_at_once(keyed, hashes):
    assert accepted(keyed) == (True, True)
    hashes.write_text(BOB_LINE)
    assert accepted(keyed) == (False, True)
    hashes.write_text(ANN_LINE)
    assert accepted(keyed) == (True, False)


def test_a_change_that_leaves_size_and_time_is_seen_too(keyed, hashes):
    before = hashes.stat()
    hashes.write_text(hashes.read_text().replace(hash_of(ANN), hash_of("another")))
    os.utime(hashes, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert hashes.stat().st_size == before.st_size and accepted(keyed) == (False, True)


@pytest.mark.parametrize(
    "lines", ["", "# nobody\n", "no key at all\n", None], ids=["empty", "comment", "wrong", "gone"]
)
def test_a_file_without_a_key_lets_nobody_in(keyed, hashes, lines):
    if lines is None:
        hashes.unlink()
    else:
        hashes.write_text(lines)
    assert accepted(keyed) == (False, False)
    assert httpx.get(f"{keyed.url}/v1/models", timeout=PATIENCE).status_code == 401
    hashes.write_text(BOB_LINE)
    assert accepted(keyed) == (False, True)


def test_a_wrong_line_is_wrong_for_its_key_alone(keyed, hashes):
    hashes.write_text(f"ann {hash_of(ANN)} rate=often\n" + BOB_LINE)
    assert accepted(keyed) == (False, True)


def test_a_session_of_the_page_ends_with_its_key(keyed, hashes):
    with httpx.Client(base_url=keyed.url, timeout=PATIENCE) as ann, httpx.Client(base_url=keyed.url) as bob:
        for person, key in ((ann, ANN), (bob, BOB)):
            assert person.post("/sign-in", data={"key": key}).status_code == 303
            assert person.get("/config").status_code == 200
        hashes.write_text(BOB_LINE)
        refused = [ann.get("/config"), ann.post("/gradio_api/queue/join", json={}), ann.post("/gradio_api/upload")]
        assert [answer.status_code for answer in refused] == [401] * 3 and bob.get("/config").status_code == 200
        # A new key of the same name is not the one that was signed in with.
        hashes.write_text(f"ann {hash_of('a new key')}\n")
        assert COOKIE in ann.cookies and ann.get("/config").status_code == 401
        assert ann.post("/sign-in", data={"key": ANN}).status_code == 401
        assert ann.post("/sign-in", data={"key": "a new key"}).status_code == 303
        assert ann.get("/config").status_code == 200


def test_what_was_accepted_is_answered(gate, hashes, image, mask):
    settings = Settings(triton_url=gate.server.grpc_url, page=False, api_keys_file=hashes)
    with running(settings) as facade, ThreadPoolExecutor(1) as threads:
        files, url = {"image": image, "mask": mask}, f"{facade.url}/v1/harmonize"
        answer = threads.submit(httpx.post, url, files=files, headers=bearer(ANN), timeout=PATIENCE)
        facade.wait_until(lambda: len(facade.service.jobs) == 1, "Ann's request is accepted")
        hashes.write_text(BOB_LINE)
        assert httpx.post(url, files=files, headers=bearer(ANN), timeout=PATIENCE).status_code == 401
        gate.open()
        assert answer.result(PATIENCE).status_code == 200
