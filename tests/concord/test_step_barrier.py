"""Diffusions side by side take their steps together, and none of them waits for one that takes none."""

import asyncio
from collections.abc import Coroutine
from typing import Any

import pytest

from concord.loops.step_barrier import StepBarrier

LONG = 60.0  # seconds: more patience than any test has
STEP = 0.01


class Steps:
    """Steps that last a while, and the groups in which they ran."""

    def __init__(self, patience: float) -> None:
        self.barrier = StepBarrier(patience)
        self.groups: list[set[str]] = []
        self._running: set[str] = set()

    async def take(self, name: str, count: int) -> None:
        with self.barrier.party():
            for _ in range(count):
                await self.step(name)

    async def step(self, name: str) -> None:
        async with self.barrier.step():
            if not self._running:
                self.groups.append(set())
            self._running.add(name)
            self.groups[-1].add(name)
            try:
                await asyncio.sleep(STEP)
            finally:
                self._running.discard(name)


def run(*together: Coroutine[Any, Any, None]) -> None:
    async def all_of_them() -> None:
        async with asyncio.timeout(10), asyncio.TaskGroup() as group:
            for each in together:
                group.create_task(each)

    asyncio.run(all_of_them())


def test_one_alone_never_waits() -> None:
    steps = Steps(patience=LONG)
    run(steps.take("a", 3))
    assert steps.groups == [{"a"}] * 3


def test_those_that_denoise_at_the_same_time_step_together() -> None:
    steps = Steps(patience=LONG)
    run(steps.take("a", 3), steps.take("b", 3), steps.take("c", 3))
    assert steps.groups == [{"a"}, {"a", "b", "c"}, {"a", "b", "c"}, {"b", "c"}]


def test_one_that_comes_later_joins_at_the_next_step_and_one_that_is_done_is_not_waited_for() -> None:
    steps = Steps(patience=LONG)

    async def later() -> None:
        await asyncio.sleep(STEP / 2)
        await steps.take("b", 3)

    run(steps.take("a", 2), later())
    assert steps.groups == [{"a"}, {"a", "b"}, {"b"}, {"b"}]


def test_patience_ends() -> None:
    steps = Steps(patience=STEP)

    async def busy_elsewhere() -> None:
        with steps.barrier.party():
            await asyncio.sleep(5 * STEP)

    run(steps.take("a", 2), busy_elsewhere())
    assert steps.groups == [{"a"}, {"a"}]


@pytest.mark.parametrize("after", [STEP / 2, 3 * STEP / 2], ids=["waiting for its step", "in its step"])
def test_one_that_is_cancelled_is_not_waited_for(after: float) -> None:
    steps = Steps(patience=LONG)

    async def cancelled() -> None:
        taking = asyncio.ensure_future(steps.take("b", 100))
        await asyncio.sleep(after)
        taking.cancel()
        await asyncio.wait([taking])

    async def first() -> None:
        with steps.barrier.party():
            await steps.step("a")
            await steps.step("a")
            await steps.step("a")

    run(first(), cancelled())
    assert sum("a" in group for group in steps.groups) == 3
