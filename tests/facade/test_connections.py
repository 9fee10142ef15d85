"""Clients that are slow, that break off, or that are many: the others are answered, and nothing of them stays."""

from concurrent.futures import ThreadPoolExecutor

import httpx
import pytest

from tests.facade.gated import Gated
from tests.facade.sending import Connection, form_of

MANY = 200


@pytest.fixture
def request_(image, mask) -> httpx.Request:
    return form_of({"image": image, "mask": mask})


def is_answered(gate: Gated, request: httpx.Request) -> bool:
    with Connection(gate.facade) as connection:
        connection.post(request)
        return connection.status() == 200


def nothing_is_left(gate: Gated) -> bool:
    """Whether nothing is waiting, running or kept, by the facade's own metrics as well."""
    gate.wait_for(0, 0)
    app = gate.facade.app
    gate.facade.wait_until(lambda: (len(app.state.service.jobs), app.state.service.memory.held) == (0, 0))
    metrics = httpx.get(f"{gate.facade.url}/metrics").text.splitlines()
    gauges = [line for line in metrics if line.startswith(("concord_in_flight{", "concord_queue_depth{"))]
    return len(gauges) == 2 and all(line.endswith(" 0.0") for line in gauges)


@pytest.mark.parametrize("path", ["/v1/harmonize", "/v1/images/edits", "/v1/batches"])
def test_a_body_is_read_however_small_its_pieces_are(gate, path):
    body = form_of({"image": b"no picture" * 20}, {"model": "ht"})
    content = body.read()
    with Connection(gate.facade) as connection:
        connection.head(path, f"Content-Type: {body.headers['content-type']}", f"Content-Length: {len(content)}")
        for byte in content:
            connection.send(bytes([byte]))
        assert connection.status() == 400


def test_a_photograph_that_comes_byte_by_byte_is_harmonized(gate, request_):
    gate.open()
    content = request_.read()
    with Connection(gate.facade) as connection:
        length = f"Content-Length: {len(content)}"
        connection.head("/v1/harmonize", f"Content-Type: {request_.headers['content-type']}", length)
        for start in range(0, 2000):
            connection.send(content[start : start + 1])
        connection.send(content[2000:])
        assert connection.status() == 200


@pytest.mark.parametrize("path", ["/v1/harmonize", "/v1/segment", "/v1/images/edits", "/v1/batches"])
def test_bodies_that_break_off_leave_nothing(gate, request_, path):
    gate.open()
    before, content = gate.executed, request_.read()
    for share in range(1, 40):
        with Connection(gate.facade) as connection:
            length = f"Content-Length: {len(content)}"
            connection.head(path, f"Content-Type: {request_.headers['content-type']}", length)
            connection.send(content[: len(content) * share // 40])
    assert is_answered(gate, request_)
    assert nothing_is_left(gate)
    assert gate.executed - before == 1


def test_while_two_hundred_connections_wait_for_their_clients_others_are_answered(gate, request_):
    gate.open()
    content = request_.read()
    connections = [Connection(gate.facade) for _ in range(MANY)]
    for number, connection in enumerate(connections):
        if number % 2:
            length = f"Content-Length: {len(content)}"
            connection.head("/v1/harmonize", f"Content-Type: {request_.headers['content-type']}", length)
            connection.send(content[: len(content) // 2])
    assert is_answered(gate, request_)
    for connection in connections:
        connection.close()
    assert nothing_is_left(gate)


def test_of_two_hundred_requests_at_once_each_is_answered_or_refused(gate, request_):
    gate.open()
    before, content = gate.executed, request_.read()
    headers = {"content-type": request_.headers["content-type"]}
    limits = httpx.Limits(max_connections=MANY)
    with httpx.Client(base_url=gate.facade.url, limits=limits, timeout=60) as client, ThreadPoolExecutor(MANY) as pool:
        answers = list(pool.map(lambda _: client.post("/v1/harmonize", content=content, headers=headers), range(MANY)))
    accepted = [answer for answer in answers if answer.status_code == 200]
    refused = [answer for answer in answers if answer.status_code == 503]
    assert accepted and len(accepted) + len(refused) == MANY
    assert all(int(answer.headers["retry-after"]) >= 1 for answer in refused)
    assert {answer.json()["type"] for answer in refused} <= {"urn:concord:problem:too_busy"}
    assert is_answered(gate, request_)
    assert nothing_is_left(gate)
    assert gate.executed - before == len(accepted) + 1
