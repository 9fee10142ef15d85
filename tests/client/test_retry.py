from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest

from concord_client.retry import Retry, seconds_of

LONGEST = Retry(attempts=10, first_delay=1.0, longest_delay=5.0, uniform=lambda low, high: high)


def test_waits_double_up_to_the_longest():
    assert [LONGEST.delay(failures, remaining=100) for failures in range(1, 6)] == [1, 2, 4, 5, 5]


def test_jitter_stays_between_half_and_the_whole_wait():
    bounds = []
    retry = Retry(first_delay=1.0, uniform=lambda low, high: bounds.append((low, high)) or low)
    assert retry.delay(1, remaining=100) == 0.5
    assert bounds == [(0.5, 1.0)]


def test_it_gives_up_after_the_attempts():
    retry = Retry(attempts=3)
    assert retry.delay(2, remaining=100) is not None
    assert retry.delay(3, remaining=100) is None


@pytest.mark.parametrize("remaining", [0.0, 1.0, -1.0])
def test_it_gives_up_when_the_wait_would_pass_the_deadline(remaining):
    assert LONGEST.delay(1, remaining) is None


def test_one_attempt_never_retries():
    assert Retry(attempts=1).delay(1, remaining=100) is None


def test_the_wait_begins_when_the_server_says_so():
    assert LONGEST.delay(1, remaining=100, retry_after=30) == 31
    assert LONGEST.delay(1, remaining=31, retry_after=30) is None
    assert LONGEST.delay(1, remaining=100, retry_after=None) == LONGEST.delay(1, remaining=100) == 1


NOW = datetime(2026, 7, 1, 12, tzinfo=UTC)


def test_a_date_is_told_from_the_server_s_own_clock():
    later = format_datetime(NOW + timedelta(seconds=90), usegmt=True)
    assert seconds_of(later, format_datetime(NOW, usegmt=True)) == 90
    assert seconds_of(format_datetime(NOW, usegmt=True), later) == 0


@pytest.mark.parametrize("clock", ["", "yesterday"])
def test_without_it_from_that_of_this_machine(clock):
    later = datetime.now(UTC) + timedelta(hours=1)
    assert 3000 < seconds_of(format_datetime(later, usegmt=True), clock) <= 3600


@pytest.mark.parametrize(
    ("said", "seconds"), [("120", 120), ("0", 0), ("", None), ("-1", None), ("soon", None), ("1.5", None), ("²", None)]
)
def test_seconds_are_whole_and_what_cannot_be_read_says_nothing(said, seconds):
    assert seconds_of(said) == seconds
