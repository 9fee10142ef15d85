"""Places and the queue before them."""

import asyncio

import pytest

from facade.problems import Problem
from facade.work.admission import Admission


def admission_of(limits: dict[str, int], queue: int) -> Admission:
    admission = Admission(queue)
    admission.know(limits)
    return admission


async def settled() -> None:
    """Lets everything that can go on do so."""
    for _ in range(10):
        await asyncio.sleep(0)


class Asker:
    """Takes a place, and notes what it is told."""

    def __init__(self, admission: Admission, model: str = "one") -> None:
        self.told: list[int] = []
        self.task = asyncio.create_task(admission.take(model, self.told.append))

    def leave(self) -> None:
        self.task.result().leave()


def run(test) -> None:
    asyncio.run(test)


def test_places_go_to_those_who_wait_in_their_order():
    async def program():
        admission = admission_of({"one": 1}, queue=3)
        first, second, third = (Asker(admission) for _ in range(3))
        await settled()
        assert first.told == [0] and second.told == [1] and third.told == [2]
        assert admission.running == {"one": 1} and admission.waiting == {"one": 2}
        first.leave()
        await settled()
        assert second.told == [1, 0] and third.told == [2, 1] and not third.task.done()
        second.leave()
        await settled()
        third.leave()
        assert admission.running == {"one": 0} and admission.waiting == {"one": 0}

    run(program())


def test_beyond_the_queue_a_request_is_refused_without_waiting():
    async def program():
        admission = admission_of({"one": 2}, queue=1)
        askers = [Asker(admission) for _ in range(3)]
        await settled()
        with pytest.raises(Problem) as refusal:
            await admission.take("one")
        assert (refusal.value.code, refusal.value.status) == ("too_busy", 503)
        assert refusal.value.retry_after >= 1
        assert "2 requests to one at a time and 1 that wait" in refusal.value.allowed
        for asker in askers:
            asker.leave() if asker.task.done() else asker.task.cancel()
        await settled()

    run(program())


def test_a_queue_that_is_full_of_one_holder_is_open_to_others():
    async def program():
        admission = admission_of({"one": 1}, queue=1)
        tasks = [asyncio.create_task(admission.take("one", holder=holder)) for holder in ("ann", "ann", "bob")]
        await settled()
        assert admission.waiting == {"one": 2}
        for holder in ("ann", "bob"):
            with pytest.raises(Problem, match="and 1 wait"):
                await admission.take("one", holder=holder)
        tasks[0].result().leave()
        await settled()
        assert [task.done() for task in tasks] == [True, False, True]
        tasks[1].cancel()

    run(program())


def test_models_have_queues_of_their_own():
    async def program():
        admission = admission_of({"one": 1, "other": 1}, queue=0)
        (await admission.take("one"), await admission.take("other"))
        with pytest.raises(Problem):
            await admission.take("other")
        assert admission.running == {"one": 1, "other": 1}

    run(program())


def test_who_gives_up_waiting_makes_room_and_the_others_move_up():
    async def program():
        admission = admission_of({"one": 1}, queue=2)
        askers = [Asker(admission) for _ in range(3)]
        await settled()
        askers[1].task.cancel()
        await settled()
        assert askers[2].told == [2, 1] and admission.waiting == {"one": 1}
        askers[0].leave()
        await settled()
        assert askers[2].told == [2, 1, 0]

    run(program())


def test_a_place_given_to_one_who_has_just_gone_is_not_lost():
    async def program():
        admission = admission_of({"one": 1}, queue=2)
        askers = [Asker(admission) for _ in range(3)]
        await settled()
        askers[0].leave()
        askers[1].task.cancel()
        await settled()
        assert askers[1].task.cancelled() and askers[2].task.done()
        askers[2].leave()
        assert admission.running == {"one": 0}

    run(program())


def test_who_gives_up_while_a_place_comes_free_is_cancelled_and_no_more():
    """The turn is dropped from the queue before the coroutine that waits for it runs again."""

    async def program():
        admission = admission_of({"one": 1}, queue=3)
        askers = [Asker(admission) for _ in range(4)]
        await settled()
        askers[1].task.cancel()
        askers[0].leave()
        await settled()
        assert askers[1].task.cancelled() and askers[2].task.done()
        assert admission.waiting == {"one": 1} and askers[3].told == [3, 1]
        askers[2].leave()
        await settled()
        askers[3].leave()
        assert admission.running == {"one": 0}

    run(program())


def test_the_time_to_come_back_follows_how_long_requests_take(monkeypatch):
    async def program():
        clock = [0.0]
        monkeypatch.setattr("facade.work.admission.time.monotonic", lambda: clock[0])
        admission = admission_of({"one": 1}, queue=0)
        for _ in range(50):
            place = await admission.take("one")
            clock[0] += 20
            place.leave()
        await admission.take("one")
        with pytest.raises(Problem) as refusal:
            await admission.take("one")
        assert refusal.value.retry_after == 20

    run(program())
