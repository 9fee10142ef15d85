"""Agreement: what the definitions say, and nothing where they say nothing."""

import pytest

from annotation.agreement import Answer, agreement, kappa


def answer(annotator: str, chosen: set[int], offered: set[int] = frozenset({1, 2, 3, 4})) -> Answer:
    return Answer(annotator, frozenset(chosen), frozenset(offered))


def test_kappa_is_that_of_cohens_definition() -> None:
    # 20 both yes, 5 and 10 apart, 15 both no: observed 0.7, by chance 0.5.
    decisions = [(True, True)] * 20 + [(True, False)] * 5 + [(False, True)] * 10 + [(False, False)] * 15
    assert kappa(decisions) == pytest.approx(0.4)


def test_kappa_is_not_defined_where_chance_alone_agrees() -> None:
    assert kappa([(False, False)] * 5) is None and kappa([]) is None


def test_overlap_is_over_all_pairs_and_two_that_skip_agree() -> None:
    samples = [
        [answer("ada", {1, 2}), answer("grace", {2, 3})],
        [answer("ada", set()), answer("grace", set())],
        [answer("ada", {1})],
    ]
    found = agreement(samples)
    assert (found.pairs, found.overlap) == (2, pytest.approx((1 / 3 + 1) / 2))


def test_only_what_both_saw_counts_for_kappa() -> None:
    found = agreement([[answer("ada", {1, 9}, {1, 2, 9}), answer("grace", {1}, {1, 2})]])
    assert found.kappa == 1 and found.overlap == 0.5


def test_three_annotators_are_three_pairs() -> None:
    assert agreement([[answer(each, {1}) for each in "abc"]]).pairs == 3


def test_without_a_pair_nothing_is_said() -> None:
    assert (agreement([]).overlap, agreement([]).kappa) == (None, None)
