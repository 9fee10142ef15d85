"""Jobs by their id."""

import asyncio
from concurrent.futures import ThreadPoolExecutor

import httpx
import numpy as np
import pytest

from facade.problems import Problem
from facade.settings import Settings
from facade.work.jobs import Jobs
from tests.facade.conftest import HEIGHT, WIDTH
from tests.facade.gated import RUNNING, WAITING
from tests.facade.running import running
from tests.facade.sending import problem
from tests.serving.pictures import decoded, encoded, middle


async def job(jobs: Jobs, name: str | None, owner: str = "") -> None:
    with jobs.running(name, owner):
        await asyncio.Event().wait()


def start(jobs: Jobs, name: str | None, owner: str = "") -> asyncio.Task:
    return asyncio.create_task(job(jobs, name, owner))


def test_a_job_is_cancelled_once_and_then_forgotten():
    async def program():
        jobs = Jobs()
        task = start(jobs, "a")
        await asyncio.sleep(0)
        assert jobs.cancel("a") and jobs.cancel("a") and not jobs.cancel("b")
        with pytest.raises(Problem, match="cancelled"):
            await task
        assert len(jobs) == 0 and not jobs.cancel("a")

    asyncio.run(program())


def test_only_its_owner_cancels_a_job():
    async def program():
        jobs = Jobs()
        task = start(jobs, "a", "alice")
        await asyncio.sleep(0)
        assert not jobs.cancel("a", "bob") and not jobs.cancel("a") and not task.done()
        assert jobs.cancel("a", "alice")
        with pytest.raises(Problem):
            await task

    asyncio.run(program())


def test_a_task_that_is_cancelled_by_others_stays_cancelled():
    async def program():
        jobs = Jobs()
        task = start(jobs, "a")
        await asyncio.sleep(0)
        jobs.cancel("a")
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert len(jobs) == 0

    asyncio.run(program())


@pytest.mark.parametrize("name", ["", "a b", "a/b", "ü", 129 * "a"])
def test_an_id_that_cannot_be_in_a_path_is_refused(http, image, mask, name):
    answer = http.post("/v1/harmonize", files={"image": image, "mask": mask}, headers={b"X-Job-Id": name.encode()})
    assert problem(answer)[:3] == (400, "invalid_setting", "X-Job-Id")


def test_a_job_that_is_not_running_is_not_known(http):
    assert problem(http.delete("/v1/jobs/none"))[:3] == (404, "unknown_job", "job")


@pytest.mark.parametrize("route", ["/v1/images/edits", "/v1/harmonize", "/v1/batches"])
def test_requests_to_which_a_proxy_gave_one_id_do_not_meet(gate, image, mask, route):
    """Also where the first of them has not begun its job when the others come."""
    seen = encoded(np.dstack([decoded(image), 255 - middle(WIDTH, HEIGHT)]))
    files = {
        "/v1/harmonize": [("image", ("a.png", image)), ("mask", ("b.png", mask))],
        "/v1/images/edits": [("image", ("a.png", image)), ("mask", ("b.png", seen))],
        "/v1/batches": [("images", ("a.png", image)), ("images", ("a_mask.png", mask))],
    }[route]
    count = RUNNING + WAITING
    with httpx.Client(base_url=gate.facade.url, timeout=60) as http, ThreadPoolExecutor(count) as threads:
        headers = {"X-Request-Id": "one-for-all"}
        answers = [threads.submit(http.post, route, files=files, headers=headers) for _ in range(count)]
        gate.facade.wait_until(lambda: len(gate.facade.service.jobs) >= count, "all are jobs")
        gate.open()
        statuses = [answer.result(60).status_code for answer in answers]
    assert statuses == [200] * count


def test_a_key_does_not_cancel_another_key_s_job(gate, image, mask):
    settings = Settings(triton_url=gate.server.grpc_url, page=False, api_keys="first-key,second-key")
    with running(settings) as facade, httpx.Client(base_url=facade.url, timeout=60) as http:
        first, second = ({"Authorization": f"Bearer {key}"} for key in ("first-key", "second-key"))
        with ThreadPoolExecutor(1) as threads:
            sent = {"files": {"image": image, "mask": mask}, "headers": first | {"X-Job-Id": "one"}}
            answer = threads.submit(http.post, "/v1/harmonize", **sent)
            facade.wait_until(lambda: "one" in facade.service.jobs)
            assert http.delete("/v1/jobs/one").status_code == 401
            assert problem(http.delete("/v1/jobs/one", headers=second))[:2] == (404, "unknown_job")
            assert http.delete("/v1/jobs/one", headers=first).status_code == 204
            assert problem(answer.result(60))[:2] == (499, "cancelled")
