"""A Triton that is not there, goes away, or comes back."""

import socket
from concurrent.futures import ThreadPoolExecutor
from functools import partial

import httpx
import pytest
from tritonclient.utils import InferenceServerException

from facade.settings import Settings
from tests.facade.gated import gated
from tests.facade.running import PATIENCE, running
from tests.facade.sending import Connection, events, form_of, problem
from tests.serving.stack import stub_of


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


def answered(own, image, mask, **fields) -> httpx.Response:
    files = {"image": image, "mask": mask}
    return httpx.post(f"{own.facade.url}/v1/harmonize", files=files, data=fields, timeout=PATIENCE)


def kill_stub(own) -> None:
    stub_of("harmonize", own.server.processes()).kill()


def load_again(own) -> None:
    try:
        own.server.reload("harmonize")
    except InferenceServerException:
        # Now and then Triton ends with a stub.
        own.server.restart()


def killed_amid_a_request(own, kill, mend, *sent, **fields) -> httpx.Response:
    own.close()
    with ThreadPoolExecutor(1) as threads:
        answer = threads.submit(answered, own, *sent, **fields)
        own.wait_for(1, 0)
        kill()
        own.open()
        mend()
        return answer.result(PATIENCE)


def test_what_a_killed_server_was_asked_its_successor_answers(own, image, mask):
    kill = partial(own.server.stop, drain=False)
    assert killed_amid_a_request(own, kill, own.server.start, image, mask).status_code == 200


def test_what_a_killed_model_was_asked_is_asked_again_and_a_stream_says_so(own, image, mask):
    mend = partial(load_again, own)
    answer = killed_amid_a_request(own, partial(kill_stub, own), mend, image, mask, stream="true")
    assert [name for name, _ in events(answer.text)] == ["queued", "restarted", "result"]


def test_what_is_not_mended_in_time_is_told_so(own, image, mask):
    answer = killed_amid_a_request(own, partial(kill_stub, own), lambda: None, image, mask, timeout="3")
    assert problem(answer)[:2] == (504, "deadline_exceeded")
    load_again(own)
    own.wait_for(0, 0)
    assert answered(own, image, mask).status_code == 200


def test_what_nobody_waits_for_any_more_is_not_begun_again(own, image, mask):
    own.close()
    with Connection(own.facade) as connection:
        connection.post(form_of({"image": image, "mask": mask}))
        own.wait_for(1, 0)
        kill_stub(own)
    own.wait_for(0, 0)
    own.open()
    load_again(own)
    assert answered(own, image, mask).status_code == 200
    assert own.executed == 1
