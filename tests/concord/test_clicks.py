"""Points and a box are read as they are meant, or refused by their field."""

import pytest

from concord.clicks import MOST_POINTS, Clicks
from concord.errors import InvalidPoints


def test_points_are_parted_by_their_label():
    clicks = Clicks.read([3, 4, 1, 0.5, 0, 0, 10, 20, 1], [], height=20, width=10)
    assert (clicks.belonging, clicks.others, clicks.box) == (((3, 4), (10, 20)), ((0.5, 0),), None)


def test_a_box_needs_no_point_and_may_come_with_others_only():
    assert Clicks.read([], [0, 0, 10, 20], 20, 10).box == (0, 0, 10, 20)
    assert Clicks.read([3, 4, 0], [1, 2, 9, 9], 20, 10).others == ((3, 4),)


@pytest.mark.parametrize(
    ("points", "box", "field", "words"),
    [
        ([], [], "POINTS", "neither"),
        ([1, 2], [], "POINTS", "2 numbers"),
        ([1, 2, 1] * (MOST_POINTS + 1), [], "POINTS", "65 points"),
        ([float("nan"), 2, 1], [], "POINTS", "nan"),
        ([1, float("inf"), 1], [], "POINTS", "inf"),
        ([1, 2, float("nan")], [], "POINTS", "nan"),
        ([-0.1, 2, 1], [], "POINTS", "outside"),
        ([1, 20.5, 1], [], "POINTS", "outside"),
        ([1, 2, 0.5], [], "POINTS", "label"),
        ([1, 2, -1], [], "POINTS", "label"),
        ([1, 2, 0], [], "POINTS", "none of them belongs"),
        ([], [1, 2, 3], "BOX", "3 numbers"),
        ([], [1, 2, 3, float("nan")], "BOX", "nan"),
        ([], [1, 2, 1, 9], "BOX", "no area"),
        ([], [5, 9, 7, 2], "BOX", "no area"),
        ([1, 2, 1], [1, 2, 11, 9], "BOX", "not inside"),
        ([1, 2, 1], [-1, 2, 3, 9], "BOX", "not inside"),
    ],
)
def test_what_cannot_be_is_refused_by_its_field(points, box, field, words):
    with pytest.raises(InvalidPoints, match=words) as refused:
        Clicks.read(points, box, height=20, width=10)
    assert refused.value.field == field and refused.value.allowed
