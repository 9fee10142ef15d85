"""What is held in memory is bounded in all, and each holder of a key leaves some to others."""

import pytest

from facade.problems import Problem
from facade.work.memory import Memory, Room

MOST = 1200


@pytest.fixture
def memory() -> Memory:
    memory = Memory(MOST)
    memory.has_several = lambda: True
    return memory


def test_one_holder_alone_may_have_all(memory):
    memory.has_several = lambda: False
    with memory.kept("", MOST), pytest.raises(Problem) as refusal, memory.kept("", 1):
        pass
    assert (refusal.value.code, refusal.value.allowed) == ("too_busy", "1200 bytes in all requests together")
    assert memory.held == 0


def test_of_several_each_leaves_some_to_the_next(memory):
    with memory.kept("ann", 400):
        with pytest.raises(Problem) as refusal, memory.kept("ann", 1):
            pass
        assert "this key" in refusal.value.detail
        with memory.kept("bob", 266), memory.kept("carl", 178), memory.kept("dora", 118):
            assert memory.held == 962


def test_answers_may_have_what_bodies_may_not(memory):
    with memory.kept("ann", 400), memory.room("ann") as room:
        assert room.grows_to(150) and room.grows_to(200) and not room.grows_to(201)
        with memory.room("bob") as other:
            assert not other.grows_to(301) and other.grows_to(300)
        assert room.size == 200 and room.grows_to(100)
    assert memory.held == 0


def test_an_answer_has_its_true_size_whatever_that_is_and_tells_when_it_shrinks(memory):
    freed = []
    memory.freed = lambda: freed.append(memory.held)
    with memory.room("ann") as room:
        assert room.grows_to(100)
        room.resize(5000)
        assert memory.held == 5000 and not freed
        room.resize(50)
    assert freed == [50, 0]


def test_one_answer_always_has_room_so_that_those_who_wait_come_to_their_turn(memory):
    with memory.kept("ann", 400), memory.counted("ann", 5000):
        first, second = Room(memory, "ann"), Room(memory, "ann")
        assert first.grows_to(10_000) and not second.grows_to(1)
        first.resize(0)
        assert second.grows_to(1)
