"""Places go to holders of keys in turn, and to those of one holder in their order."""

import asyncio
from collections.abc import Callable, Iterable

from facade.work.lane import Lane, Place


async def settled() -> None:
    for _ in range(10):
        await asyncio.sleep(0)


async def served(lane: Lane, holders: Iterable[str], count: int) -> str:
    """The holders of the next places, which are left one after the other as they are taken."""
    order: list[str] = []
    taken: list[Place] = []

    async def take(holder: str) -> None:
        taken.append(await lane.take(holder))
        order.append(holder)

    tasks = [asyncio.create_task(take(holder)) for holder in holders]
    await settled()
    while len(order) < count:
        taken.pop(0).leave()
        await settled()
    for task in tasks:
        task.cancel()
    return "".join(order)


def order_of(limit: int, holders: str) -> str:
    return asyncio.run(served(Lane(limit), holders, len(holders)))


def test_one_holder_is_served_in_its_order_and_two_in_turn():
    assert order_of(1, "aaaab") == "abaaa"
    assert order_of(1, "aaaabbc") == "abcabaa"


def test_who_has_fewer_places_goes_first():
    assert order_of(3, "aaaaabb") == "aaababa"


def test_positions_are_told_as_they_will_be_served():
    async def program() -> list[list[int]]:
        lane, told = Lane(1), [[] for _ in range(4)]
        tasks = [asyncio.create_task(lane.take(holder, on_position=told[n].append)) for n, holder in enumerate("aaab")]
        await settled()
        for task in tasks:
            task.cancel()
        return told

    assert asyncio.run(program()) == [[0], [1, 2], [2, 3], [1]]


def test_who_needs_more_than_there_is_holds_up_nobody_and_is_served_when_it_is_there():
    async def program() -> None:
        lane, there = Lane(2), False
        needy = asyncio.create_task(lane.take("a", is_ready=lambda: there))
        await settled()
        other = asyncio.create_task(lane.take("a"))
        await settled()
        assert not needy.done() and other.done()
        lane.hand_out()
        await settled()
        assert not needy.done()
        there = True
        lane.hand_out()
        await settled()
        assert needy.done() and lane.running == 2

    asyncio.run(program())


def test_a_place_is_left_however_its_block_ends():
    async def program(fails: Callable[[], object]) -> int:
        lane = Lane(1)
        try:
            async with lane.place("a"):
                fails()
        except ZeroDivisionError:
            pass
        return lane.running

    assert asyncio.run(program(lambda: 1 / 0)) == asyncio.run(program(lambda: None)) == 0
