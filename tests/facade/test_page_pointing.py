"""What a browser tells of clicks and boxes, in pixels of the photograph."""

import pytest

from facade.page.pointing import pointed
from facade.page.tab_state import Photograph, Pointed, TabState
from facade.problems import Problem


@pytest.fixture
def tab(tmp_path):
    file = tmp_path / "photo.jpg"
    return TabState(Photograph(file, 1, (300, 400), file, (150, 200)), pointed=Pointed(((1, 2, 1),)))


def test_a_click_is_one_more_point_of_the_photograph(tab):
    assert pointed(tab, {"point": [0.5, 1]}, away=False).points == ((1, 2, 1), (200, 300, 1))


@pytest.mark.parametrize(("told", "away"), [(True, False), (False, True)], ids=["shift", "the_box_is_ticked"])
def test_a_click_that_takes_away_is_told_in_two_ways(tab, told, away):
    assert pointed(tab, {"point": [0, 0], "away": told}, away=away).points[-1] == (0, 0, 0)


def test_a_box_takes_the_place_of_the_one_before_and_points_stay(tab):
    assert pointed(tab, {"box": [0, 0, 0.5, 0.5]}, away=False) == Pointed(((1, 2, 1),), (0, 0, 200, 150))


@pytest.mark.parametrize(
    "told", [None, [], {}, {"point": [2, 0]}, {"point": ["x", 0]}, {"box": [0, 0]}, {"point": [float("nan"), 0]}]
)
def test_what_is_neither_is_refused(tab, told):
    with pytest.raises(Problem) as refused:
        pointed(tab, told, away=False)
    assert refused.value.code == "invalid_points"
