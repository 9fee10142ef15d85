"""Clients that go away, jobs that are cancelled, deadlines that pass: what waits is never begun, what can stop stops.

Told by Triton's own statistics.
"""

import threading
import time
from contextlib import ExitStack

import httpx
import numpy as np
import pytest

from tests.facade.conftest import HEIGHT, WIDTH
from tests.facade.gated import RUNNING, WAITING
from tests.facade.running import PATIENCE
from tests.facade.sending import Connection, events, form_of, problem
from tests.serving.asking import statistics
from tests.serving.pictures import encoded, middle, photograph

LONG = {"model": "diffharmony", "steps": "50", "resolution": "1024"}


@pytest.fixture
def request_(image, mask):
    return form_of({"image": image, "mask": mask})


def denoising_steps(server) -> int:
    return statistics(server)["unet"].inference_count


def steps_beside(facade, server, image, mask) -> int:
    """Answers a short diffusion, and counts the steps that were made for others meanwhile."""
    before = denoising_steps(server)
    fields = LONG | {"steps": "8"}
    sent = {"files": {"image": image, "mask": mask}, "data": fields, "timeout": PATIENCE}
    assert httpx.post(f"{facade.url}/v1/harmonize", **sent).status_code == 200
    return denoising_steps(server) - before - 8


def wait_for_steps(server, count: int) -> None:
    deadline = time.monotonic() + PATIENCE
    while denoising_steps(server) < count:
        assert time.monotonic() < deadline


@pytest.mark.parametrize("stream", ["0", "1"])
def test_a_client_that_goes_stops_its_diffusion(diffusing_facade, diffusing, image, mask, stream):
    before = denoising_steps(diffusing)
    with Connection(diffusing_facade) as connection:
        connection.post(form_of({"image": image, "mask": mask}, LONG | {"stream": stream}))
        wait_for_steps(diffusing, before + 2)
    diffusing_facade.wait_until(lambda: diffusing_facade.service.admission.running["diffharmony"] == 0)
    assert steps_beside(diffusing_facade, diffusing, image, mask) <= 1
    assert denoising_steps(diffusing) - before < 50
    assert diffusing_facade.call(lambda: len(diffusing_facade.service.jobs)) == 0


@pytest.mark.parametrize("stream", ["0", "1"])
def test_a_job_is_cancelled_by_its_id(diffusing_facade, diffusing, image, mask, stream):
    before = denoising_steps(diffusing)
    url = diffusing_facade.url
    with Connection(diffusing_facade) as connection:
        request = form_of({"image": image, "mask": mask}, LONG | {"stream": stream})
        connection.post(request, "/v1/harmonize", "X-Job-Id: mine", "Connection: close")
        wait_for_steps(diffusing, before + 2)
        assert httpx.delete(f"{url}/v1/jobs/mine").status_code == 204
        status, headers, body = connection.answer()
        if stream == "1":
            assert status == 200 and headers["x-concord-job"] == "mine"
        else:
            assert status == 499 and b"urn:concord:problem:cancelled" in body
    assert problem(httpx.delete(f"{url}/v1/jobs/mine")) == (404, "unknown_job", "job", None)
    assert steps_beside(diffusing_facade, diffusing, image, mask) <= 1
    assert denoising_steps(diffusing) - before < 50


def test_a_diffusion_stops_at_its_deadline(diffusing_facade, diffusing, image, mask):
    sent = {"files": {"image": image, "mask": mask}, "data": LONG | {"timeout": "0.5"}, "timeout": PATIENCE}
    answer = httpx.post(f"{diffusing_facade.url}/v1/harmonize", **sent)
    assert problem(answer)[:2] == (504, "deadline_exceeded")
    assert steps_beside(diffusing_facade, diffusing, image, mask) <= 1


def test_who_leaves_the_queue_is_never_sent_to_triton(gate, request_):
    before = gate.executed
    connections = [Connection(gate.facade) for _ in range(RUNNING + WAITING)]
    for connection in connections:
        connection.post(request_)
    gate.wait_for(RUNNING, WAITING)
    for connection in connections:
        connection.close()
    # What has entered Triton cannot be stopped there, and keeps its place; the others are gone.
    gate.wait_for(RUNNING, 0)
    gate.open()
    gate.wait_for(0, 0)
    assert gate.executed - before == RUNNING


def answered(gate) -> int:
    """Requests the facade is done with, whatever came of them."""
    lines = httpx.get(f"{gate.facade.url}/metrics").text.splitlines()
    counts = (line for line in lines if line.startswith("concord_requests_total{") and 'route="/v1/' in line)
    return int(sum(float(line.rpartition(" ")[2]) for line in counts))


def test_a_hundred_clients_that_leave_leave_no_work_behind(gate, request_):
    before, seen = gate.executed, answered(gate)
    with ExitStack() as first:
        for _ in range(RUNNING):
            first.enter_context(Connection(gate.facade)).post(request_)
        gate.wait_for(RUNNING, 0)
        for _ in range(100 - RUNNING):
            with Connection(gate.facade) as connection:
                connection.post(request_)
    # All of them: a request that is read only after the gate has been opened would find a place.
    deadline = time.monotonic() + PATIENCE
    while (noted := answered(gate) - seen) < 100:
        assert time.monotonic() < deadline, f"only {noted} of 100 requests were noted"
    gate.wait_for(RUNNING, 0)
    gate.open()
    gate.wait_for(0, 0)
    assert gate.executed - before <= RUNNING
    service = gate.facade.service
    assert gate.facade.call(lambda: (len(service.jobs), service.memory.held)) == (0, 0)


@pytest.mark.parametrize("stream", ["0", "1"])
@pytest.mark.parametrize("path", ["/v1/harmonize", "/v1/images/edits", "/v1/batches"])
def test_a_client_that_left_before_its_request_was_read_starts_nothing(gate, image, mask, path, stream):
    field = "images" if path == "/v1/batches" else "image"
    mask = encoded(np.dstack([photograph(WIDTH, HEIGHT), middle(WIDTH, HEIGHT)])) if "edits" in path else mask
    files = [(field, ("a.png", image)), (field if field == "images" else "mask", ("a_mask.png", mask))]
    request_ = form_of(files, {"stream": stream})
    before, seen = gate.executed, answered(gate)
    held, resume = threading.Event(), threading.Event()

    def hold() -> None:
        held.set()
        resume.wait(PATIENCE)

    gate.facade.loop.call_soon_threadsafe(hold)
    assert held.wait(PATIENCE)
    with Connection(gate.facade) as connection:
        connection.post(request_, path)
    resume.set()
    deadline = time.monotonic() + PATIENCE
    while answered(gate) == seen:
        assert time.monotonic() < deadline, "the request was never noted"
    gate.open()
    gate.wait_for(0, 0)
    assert gate.executed == before


def test_who_leaves_before_the_first_event_leaves_the_queue(gate, image):
    mask = encoded(np.dstack([photograph(WIDTH, HEIGHT), middle(WIDTH, HEIGHT)]))
    request_ = form_of({"image": image, "mask": mask}, {"stream": "1"})
    with ExitStack() as first:
        for _ in range(RUNNING):
            first.enter_context(Connection(gate.facade)).post(request_, "/v1/images/edits")
        gate.wait_for(RUNNING, 0)
        with Connection(gate.facade) as last:
            last.post(request_, "/v1/images/edits")
            gate.wait_for(RUNNING, 1)
            began = time.monotonic()
        gate.wait_for(RUNNING, 0)
        # Otherwise it would wait for its deadline.
        assert time.monotonic() - began < PATIENCE / 2


def test_the_deadline_counts_the_time_in_the_queue(gate, image, mask, request_):
    before = gate.executed
    connections = [Connection(gate.facade) for _ in range(RUNNING)]
    for connection in connections:
        connection.post(request_)
    gate.wait_for(RUNNING, 0)
    sent = {"files": {"image": image, "mask": mask}, "data": {"timeout": "0.1"}}
    answer = httpx.post(f"{gate.facade.url}/v1/harmonize", **sent)
    assert problem(answer)[:2] == (504, "deadline_exceeded") and "in the queue" in answer.json()["detail"]
    gate.open()
    for connection in connections:
        assert connection.status() == 200
        connection.close()
    assert gate.executed - before == RUNNING


def test_what_is_in_triton_when_its_deadline_passes_keeps_its_place(gate, image, mask):
    sent = {"files": {"image": image, "mask": mask}, "data": {"timeout": "0.1"}}
    for _ in range(RUNNING):
        answer = httpx.post(f"{gate.facade.url}/v1/harmonize", **sent)
        assert problem(answer)[:2] == (504, "deadline_exceeded")
    gate.wait_for(RUNNING, 0)
    gate.open()
    gate.wait_for(0, 0)
    assert httpx.post(f"{gate.facade.url}/v1/harmonize", files={"image": image, "mask": mask}).status_code == 200


def test_a_job_in_the_queue_is_cancelled_by_its_id(gate, request_):
    before = gate.executed
    connections = [Connection(gate.facade) for _ in range(RUNNING + 1)]
    for number, connection in enumerate(connections):
        connection.post(request_, "/v1/harmonize", f"X-Job-Id: job-{number}")
        gate.wait_for(min(number + 1, RUNNING), max(0, number + 1 - RUNNING))
    url = gate.facade.url
    taken = httpx.post(
        f"{url}/v1/harmonize", content=request_.read(), headers={**request_.headers, "X-Job-Id": "job-0"}
    )
    assert problem(taken)[:3] == (409, "job_in_use", "X-Job-Id")
    assert httpx.delete(f"{url}/v1/jobs/job-{RUNNING}").status_code == 204
    assert connections[-1].status() == 499
    gate.open()
    assert [connection.status() for connection in connections[:-1]] == RUNNING * [200]
    assert gate.executed - before == RUNNING
    for connection in connections:
        connection.close()


def test_a_stream_that_waits_is_cancelled_with_a_last_event(gate, image, mask, request_):
    connections = [Connection(gate.facade) for _ in range(RUNNING)]
    for connection in connections:
        connection.post(request_)
    gate.wait_for(RUNNING, 0)
    sent = {"files": {"image": image, "mask": mask}, "data": {"stream": "1"}, "timeout": PATIENCE}
    with httpx.stream("POST", f"{gate.facade.url}/v1/harmonize", **sent) as answer:
        job = answer.headers["x-concord-job"]
        assert httpx.delete(f"{gate.facade.url}/v1/jobs/{job}").status_code == 204
        name, told = events(answer.read().decode())[-1]
    assert (name, told["status"], told["type"]) == ("error", 499, "urn:concord:problem:cancelled")
    gate.open()
    for connection in connections:
        assert connection.status() == 200
        connection.close()
