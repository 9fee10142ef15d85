"""A Triton that is not there, goes away, or comes back."""

import socket
import time
from concurrent.futures import ThreadPoolExecutor

import httpx
import pytest

from facade.settings import Settings
from tests.facade.gated import gated
from tests.facade.running import PATIENCE, running
from tests.facade.sending import problem
from tests.serving.test_serve import stub_of


@pytest.fixture(scope="module")
def down():
    """A facade whose Triton is not there."""
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        url = f"127.0.0.1:{bound.getsockname()[1]}"
        with running(Settings(triton_url=url, page=False)) as facade:
            yield facade


@pytest.fixture(scope="module")
def own(tmp_path_factory):
    """A facade and a Triton of its own, to be killed."""
    with gated(tmp_path_factory.mktemp("own")) as running:
        yield running


@pytest.mark.parametrize("stream", ["0", "1"])
def test_requests_are_refused_with_the_time_to_come_back(down, image, mask, stream):
    sent = {"files": {"image": image, "mask": mask}, "data": {"stream": stream}, "timeout": 30}
    answer = httpx.post(f"{down.url}/v1/harmonize", **sent)
    assert problem(answer)[:2] == (503, "unavailable") and int(answer.headers["retry-after"]) >= 1


def test_models_cannot_be_told(down):
    assert problem(httpx.get(f"{down.url}/v1/models", timeout=30))[:2] == (503, "unavailable")


def test_what_is_wrong_with_a_request_is_told_all_the_same(down, image):
    answer = httpx.post(f"{down.url}/v1/harmonize", files={"image": image})
    assert problem(answer)[:2] == (400, "missing_field")


def answered(own, image, mask) -> httpx.Response:
    return httpx.post(f"{own.facade.url}/v1/harmonize", files={"image": image, "mask": mask}, timeout=PATIENCE)


def killed_amid_a_request(own, image, mask, kill) -> httpx.Response:
    own.close()
    with ThreadPoolExecutor(1) as threads:
        answer = threads.submit(answered, own, image, mask)
        own.wait_for(1, 0)
        kill()
        return answer.result(PATIENCE)


def is_answered_again(own, image, mask) -> bool:
    deadline = time.monotonic() + PATIENCE
    while (answer := answered(own, image, mask)).status_code != 200:
        assert problem(answer)[:2] == (503, "unavailable")
        assert time.monotonic() < deadline
    return True


def test_a_server_that_is_killed_is_a_refusal_and_its_successor_is_found(own, image, mask):
    answer = killed_amid_a_request(own, image, mask, lambda: own.server.stop(drain=False))
    assert problem(answer)[:2] == (503, "unavailable") and int(answer.headers["retry-after"]) >= 1
    own.open()
    own.server.start()
    assert is_answered_again(own, image, mask)


def test_a_stub_that_is_killed_is_a_refusal(own, image, mask):
    answer = killed_amid_a_request(own, image, mask, lambda: stub_of("harmonize", own.server.processes()).kill())
    assert problem(answer)[:2] == (503, "unavailable")
    own.open()
    assert problem(answered(own, image, mask))[:2] == (503, "unavailable")
    own.server.restart()
    assert is_answered_again(own, image, mask)
