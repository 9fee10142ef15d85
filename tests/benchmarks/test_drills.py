"""The drills, in a short form."""

import pytest

from benchmarks.drills import attacked, clock, damaged, endurance, full, kills, mutated
from benchmarks.drills.hardship import Hardship
from benchmarks.drills.kills import Kill, Kills, Kind
from benchmarks.parts import drills

CHUNKS, CALLS = "700000 chunks of a byte", "20 calls at once over gRPC"
ATTACKS = [CHUNKS, CALLS, "file: scan_jpeg"]

ON, BACK = clock.JUMPS


@pytest.mark.server
def test_nothing_is_lost_when_a_model_is_killed_under_load():
    numbers = kills.measure(before=2, after=2, only=["ht"])
    [kill] = numbers.kills
    assert kill.hit == ["harmonize_ht"] and kill.kinds.keys() > set(kill.hit)
    assert not [kind for kind in kill.kinds.values() if kind.failed]
    assert "| ht | 0 | 0 |" in drills.killed(numbers)


def test_what_was_lost_and_the_longest_gap_are_told_apart_by_what_was_hit():
    kinds = {"one": Kind({"200": 9, "503": 2}, 3.0, "down"), "other": Kind({"200": 7}, 0.5, "")}
    page = drills.killed(Kills(6, 1, 2, [Kill("it", kinds, ["one"], [10, 20], [1, 2])]))
    assert "| it | 0 | 2 | 0.500 | 3.00 | 10 to 20 | 1 to 2 |" in page
    assert "- it, one: 9 x 200, 2 x 503: down" in page


@pytest.mark.server
def test_an_attack_costs_another_key_no_answer():
    found = attacked.measure(alone=1, amid=2, large=5, calls=20, only=ATTACKS)
    assert [each.attack for each in found] == ATTACKS
    assert not [each for each in found if each.others.keys() != {"200"}]
    assert all(f"| {attack} |" in drills.attacks(found) for attack in ATTACKS)


@pytest.mark.server
@pytest.mark.parametrize("name", [full.DISK, full.MEMORY])
def test_what_is_full_is_said_and_nothing_is_lost(name):
    [found] = full.measure(seconds=4, only=[name])
    if found.skipped:
        pytest.skip(found.skipped)
    assert found.changed == []
    answers = {status for kind in (*found.amid.values(), *found.after.values()) for status in kind.statuses}
    assert answers == {"200", "507"}
    assert found.amid["page" if name == full.DISK else "large"].statuses.keys() == {"507"}
    # Shared memory that was used once is kept.
    assert name != full.DISK or found.room_mib[1] < found.room_mib[0] + 16
    assert f"| {name} | small | " in drills.endured([found])


@pytest.mark.server
@pytest.mark.parametrize("jump", [ON, pytest.param(BACK, marks=pytest.mark.full)])
def test_a_clock_that_jumps_loses_nothing(jump):
    [found] = clock.measure(seconds=4, only=[jump])
    if found.skipped:
        pytest.skip(found.skipped)
    assert found.changed == []
    assert {status for kind in (*found.amid.values(), *found.after.values()) for status in kind.statuses} == {"200"}


def test_what_was_not_drilled_is_said():
    assert "| it | skipped: no namespaces |" in drills.endured([Hardship("it", skipped="no namespaces")])


@pytest.mark.server
def test_damaged_files_are_answered_as_is_declared_and_leave_nothing_behind():
    found = damaged.measure(number=250, first=50)
    assert (found.wrong, found.ended) == ([], 0)
    assert found.memory_mib[1] < 1.2 * found.memory_mib[0]
    assert found.answers.keys() == mutated.originals().keys()
    assert "250 files" in drills.files(found) and "| GIF |" in drills.files(found)


@pytest.mark.server
def test_many_requests_leave_nothing_behind():
    [first, last] = endurance.measure(requests=1_000, first=1)
    assert last.requests > first.requests and last.descriptors <= first.descriptors + 20
    assert f"| {last.requests} |" in drills.long_use([first, last])
