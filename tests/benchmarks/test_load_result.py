"""What a load came to: every request counts once, and what cannot be trusted says so."""

import pytest

from benchmarks.load.generator import LOST, Replies, Reply
from benchmarks.load.result import answers, summarize


def back_to_back(seconds: list[float]) -> Replies:
    """The replies of one client that asks as soon as it is answered."""
    replies: Replies = []
    for each in seconds:
        due = replies[-1].due + replies[-1].seconds if replies else 0.0
        replies.append(Reply(200, each, due))
    return replies


def test_percentiles_and_throughput_are_those_of_the_answers() -> None:
    replies = back_to_back([0.1] * 100)
    result = summarize("1 client", replies, seconds=10, closed=True)
    assert (result.asked, result.answered, result.errors, result.unstable) == (100, 100, {}, "")
    assert result.per_second == pytest.approx(10)
    assert all(result.milliseconds[name] == pytest.approx(100) for name in ("p50", "p90", "p95", "p99", "mean", "max"))


def test_an_answer_of_a_closed_loop_counts_by_its_share_of_the_time() -> None:
    replies = back_to_back([2.0] * 3)
    assert answers(replies, 0, 5, closed=True) == pytest.approx(2.5)
    assert answers(replies, 1, 2, closed=True) == pytest.approx(0.5)


def test_an_answer_of_an_open_loop_counts_when_it_comes() -> None:
    replies = [Reply("OK", 2.0, due) for due in (0.0, 1.0, 4.0)]
    assert answers(replies, 0, 5, closed=False) == 2
    assert [answers(replies, begin, begin + 1, closed=False) for begin in range(5)] == [0, 0, 1, 1, 0]


def test_what_was_not_answered_is_no_throughput_and_is_counted_by_kind() -> None:
    refused = "in ensemble 'harmonize', [invalid_image] IMAGE: is no image; allowed: JPEG"
    replies = [
        Reply(200, 0.1, 0.0),
        Reply(400, 0.01, 0.1, f'{{"error":"{refused}"}}'),
        Reply("INVALID_ARGUMENT", 0.01, 0.2, refused),
        Reply("INVALID_ARGUMENT", 0.01, 0.3, refused),
        Reply(LOST, 0.01, 0.4, "the connection broke"),
        Reply(503, 0.01, 0.5, "busy"),
    ]
    result = summarize("1 client", replies, seconds=1, closed=True)
    assert (result.asked, result.answered) == (6, 1)
    assert result.per_second == pytest.approx(1)
    assert {kind: error["count"] for kind, error in result.errors.items()} == {
        "INVALID_ARGUMENT invalid_image": 2,
        "400 invalid_image": 1,
        "lost": 1,
        "503": 1,
    }
    assert result.errors["lost"]["words"] == "the connection broke"


def test_without_an_answer_there_are_no_times() -> None:
    result = summarize("1 client", [Reply(LOST, 0.1, 0.0)], seconds=1, closed=True)
    assert (result.milliseconds, result.per_second) == ({}, 0)
    assert "only 0 of the last 3 windows" in result.unstable


def test_a_median_that_drifts_is_unstable_and_the_first_windows_may() -> None:
    drifting = back_to_back([0.01] * 200 + [0.02] * 100 + [0.04] * 50 + [0.04] * 50)
    assert "p50 of the last 3 windows" in summarize("", drifting, seconds=8, closed=True, window=2).unstable
    settling = back_to_back([0.5] * 4 + [0.01] * 600)
    assert summarize("", settling, seconds=8, closed=True, window=2).unstable == ""


def test_the_tolerance_is_what_the_windows_may_differ_by() -> None:
    slower = back_to_back([0.01] * 200 + [0.0104] * 200)
    assert summarize("", slower, seconds=4, closed=True, window=1).unstable == ""
    assert "p50" in summarize("", slower, seconds=4, closed=True, window=1, tolerance=1).unstable


def test_an_open_loop_that_falls_behind_is_unstable_whatever_chance_brings() -> None:
    arrivals = [0.1 * number for number in range(30)]
    answered = [Reply(200, 0.05, due) for due in arrivals]
    assert summarize("", answered, seconds=3, closed=False, window=1).unstable == ""
    fewer = [reply for reply in answered if reply.due < 1 or int(10 * reply.due) % 2]
    assert summarize("", fewer, seconds=3, closed=False, window=1).unstable == ""
    behind = [Reply(200, 0.05 if due < 2 else 1.05, due) for due in arrivals]
    assert summarize("", behind, seconds=3, closed=False, window=1).unstable != ""
