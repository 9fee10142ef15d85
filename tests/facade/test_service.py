"""The service by itself, as the page and batches use it."""

import asyncio
import socket

import pytest

from concord.instruments.timing import settled
from concord_client.tasks.harmonize import Harmonize
from facade.access.caller import Caller
from facade.problems import Problem
from facade.settings import Settings
from facade.work.service import Queued, Service
from tests.facade.gated import MODEL


def asked(server, work, **settings):
    async def program():
        async with Service(Settings(triton_url=server.grpc_url, **settings)) as service:
            return await work(service)

    return asyncio.run(program())


def test_an_order_is_answered_with_its_seconds(server, image, mask):
    told = []
    finished = asked(server, lambda service: service.run(Harmonize(image, mask=mask), on_event=told.append))
    assert told == [Queued(0)]
    assert finished.answer.image and set(finished.seconds) == {"queued", "inference"}


def test_an_order_without_a_mask_of_its_own_may_leave_the_one_that_is_found(server, image):
    request = Harmonize(image, text="the square")
    assert asked(server, lambda service: service.run(request, without=("mask",))).answer.mask is None


def test_a_cancelled_task_stays_cancelled_and_its_job_is_forgotten(gate, image, mask):
    async def cancelled(service):
        task = asyncio.create_task(service.run(Harmonize(image, mask=mask), Caller(job="a")))
        while not service.admission.running.get(MODEL):
            await asyncio.sleep(0.001)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        return len(service.jobs), service.admission.running[MODEL]

    # What is in Triton keeps its place.
    assert asked(gate.server, cancelled) == (0, 1)


def test_a_probe_is_a_real_inference_which_answers_spare(server, image, mask, monkeypatch):
    async def probed(service):
        first = await service.probe()
        monkeypatch.setattr(service.probe, "ask", None)
        return first, await service.probe()

    assert asked(server, probed) == (True, True)


def test_probes_of_a_triton_that_hangs_are_one_inference(gate, monkeypatch):
    monkeypatch.setattr("facade.work.probe._PROBE_SECONDS", 0.05)
    before = gate.executed

    async def probed(service):
        hanging = [await service.probe() for _ in range(3)]
        gate.open()
        while not await service.probe():
            await asyncio.sleep(0.01)
        return hanging

    assert asked(gate.server, probed) == [False, False, False]
    # Triton counts a run after it has answered.
    assert settled(lambda: gate.executed - before, still=0.5) == 1


def test_a_probe_of_nobody_fails():
    async def probed():
        with socket.socket() as bound:
            bound.bind(("127.0.0.1", 0))
            async with Service(Settings(), f"127.0.0.1:{bound.getsockname()[1]}") as service:
                return await service.probe()

    assert asyncio.run(probed()) is False


@pytest.mark.parametrize("seconds", [0, -1, 61, float("nan"), float("inf")])
def test_a_deadline_is_within_its_limit(server, image, mask, seconds):
    with pytest.raises(Problem) as refusal:
        asked(server, lambda service: service.run(Harmonize(image, mask=mask), deadline=seconds))
    assert (refusal.value.code, refusal.value.field) == ("invalid_setting", "timeout")
    assert refusal.value.allowed == "more than 0 and at most 60 seconds"
