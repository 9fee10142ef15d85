"""How many requests are under way: as many as pay."""

import asyncio

import pytest

from concord.bulk.window import FIRST, MOST, Window


async def grown(together: int, requests: int, seconds: float) -> tuple[Window, int]:
    """The window after so many requests to what answers so many at a time, and the most that were under way."""
    window, answering = Window(), asyncio.Semaphore(together)
    now = most = 0

    async def ask() -> None:
        nonlocal now, most
        async with window.place():
            now += 1
            most = max(most, now)
            async with answering:
                await asyncio.sleep(seconds)
            now -= 1

    async with asyncio.TaskGroup() as group:
        for _ in range(requests):
            group.create_task(ask())
    return window, most


def test_it_stays_small_before_what_answers_one_at_a_time() -> None:
    window, most = asyncio.run(grown(1, 150, 0.01))
    assert window.settled
    assert FIRST <= window.size <= most < MOST


def test_it_grows_before_what_answers_many_at_a_time() -> None:
    window, most = asyncio.run(grown(4 * MOST, 600, 0.05))
    assert FIRST < window.size <= most <= MOST


def test_a_place_is_given_back_when_a_request_fails() -> None:
    async def fail(window: Window) -> None:
        async with window.place():
            raise ValueError

    async def all_fail() -> None:
        window = Window()
        for _ in range(2 * MOST):
            with pytest.raises(ValueError):
                await fail(window)

    asyncio.run(asyncio.wait_for(all_fail(), 60))
