"""The drills, in a short form."""

import pytest

from benchmarks.parts import drills
from benchmarks.parts.drills import Drill, Kind, Numbers


@pytest.mark.server
def test_nothing_is_lost_when_a_model_is_killed_under_load():
    numbers = drills.measure(before=2, after=2, only=["ht"])
    [drill] = numbers.drills
    assert drill.hit == ["harmonize_ht"] and drill.kinds.keys() > set(drill.hit)
    assert not [kind for kind in drill.kinds.values() if kind.failed]
    assert "| ht | 0 | 0 |" in drills.section(numbers)


def test_what_was_lost_and_the_longest_gap_are_told_apart_by_what_was_hit():
    kinds = {"one": Kind({"200": 9, "503": 2}, 3.0, "down"), "other": Kind({"200": 7}, 0.5, "")}
    page = drills.section(Numbers(6, 1, 2, [Drill("it", kinds, ["one"], [10, 20], [1, 2])]))
    assert "| it | 0 | 2 | 0.500 | 3.00 | 10 to 20 | 1 to 2 |" in page
    assert "- it, one: 9 x 200, 2 x 503: down" in page
