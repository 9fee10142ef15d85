import pytest

from concord_client.retry import Retry

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
