"""The simulated queue gives what is known of queues that can be calculated."""

import math

import numpy as np
import pytest

from benchmarks.load.generator import arrivals
from benchmarks.queueing.replicas import at_rate, needed, p99
from benchmarks.queueing.simulation import Service, simulate

REQUESTS = 25_000
EXPONENTIAL = (-np.log(1 - (np.arange(4000) + 0.5) / 4000)).tolist()
"""Times with a mean of one second, as many as need be so that the longest are among them."""
CONSTANT = [1.0]


def alike(times: list[float], places: int = 1, queue: float = math.inf) -> Service:
    """A service whose requests take as long whoever runs beside them."""
    return Service(dict.fromkeys(range(1, places + 1), times), queue)


def erlang_c(places: int, load: float) -> float:
    """The share of requests that wait, in M/M/c; `load` is of all places, 1 of one."""
    last = load**places / math.factorial(places) * places / (places - load)
    return last / (sum(load**each / math.factorial(each) for each in range(places)) + last)


def test_one_server_with_exponential_times() -> None:
    took = at_rate(alike(EXPONENTIAL), 0.6, 1, REQUESTS)
    assert took.mean() == pytest.approx(1 / (1 - 0.6), rel=0.05)
    assert p99(took) == pytest.approx(math.log(100) / (1 - 0.6), rel=0.08)


def test_one_server_with_constant_times_has_half_the_wait() -> None:
    took = at_rate(alike(CONSTANT), 0.6, 1, REQUESTS)
    assert took.mean() - 1 == pytest.approx(0.6 / (2 * (1 - 0.6)), rel=0.05)


@pytest.mark.parametrize("places", [2, 5])
def test_several_servers_with_one_queue(places: int) -> None:
    rate = 0.7 * places
    waited = at_rate(alike(EXPONENTIAL, places), rate, 1, REQUESTS).mean() - 1
    assert waited == pytest.approx(erlang_c(places, rate) / (places - rate), rel=0.1)


def test_a_full_queue_refuses_as_many_as_it_is_known_to() -> None:
    took = at_rate(alike(EXPONENTIAL, queue=3), 0.8, 1, REQUESTS)
    assert np.isinf(took).mean() == pytest.approx((1 - 0.8) * 0.8**4 / (1 - 0.8**5), rel=0.05)


@pytest.mark.parametrize("times", [CONSTANT, EXPONENTIAL], ids=["constant", "exponential"])
def test_those_who_share_a_processor_take_as_long_whatever_their_times_are_spread_like(times: list[float]) -> None:
    shared = Service({running: [running * each for each in times] for running in range(1, 26)})
    assert at_rate(shared, 0.5, 1, REQUESTS // 2).mean() == pytest.approx(1 / (1 - 0.5), rel=0.06)


def test_those_who_are_merged_into_a_batch_as_fast_as_one_do_not_wait() -> None:
    due = arrivals(20, 100, seed=1)
    assert simulate(alike(CONSTANT, places=60), due) == pytest.approx(np.ones(len(due)))


def test_replicas_with_queues_of_their_own_are_between_one_queue_for_all_and_no_choice() -> None:
    rate, replicas = 2.4, 4
    waited = at_rate(alike(EXPONENTIAL), rate, replicas, REQUESTS).mean() - 1
    assert erlang_c(replicas, rate) / (replicas - rate) < waited < 0.6 / (1 - 0.6)


def test_requests_are_answered_in_their_order_and_the_same_again() -> None:
    assert simulate(alike([2.0]), [0.0, 1.0, 5.0]).tolist() == [2.0, 3.0, 2.0]
    assert simulate(alike([2.0], queue=0), [0.0, 1.0, 2.0]).tolist() == [2.0, math.inf, 2.0]
    service, due = alike(EXPONENTIAL, 2), arrivals(1.5, 200, seed=3)
    assert (simulate(service, due, 2, seed=4) == simulate(service, due, 2, seed=4)).all()


def test_as_many_replicas_are_needed_as_keep_the_wait_short() -> None:
    service = alike(CONSTANT)
    assert needed(service, 0.1, 3.0, 4000) == 1
    found = needed(service, 4.5, 2.0, 4000)
    assert found is not None and found > 4.5
    assert p99(at_rate(service, 4.5, found, 4000)) <= 2.0 < p99(at_rate(service, 4.5, found - 1, 4000))
    assert needed(service, 0.1, 0.9) is None


@pytest.mark.parametrize("times", [{}, {2: [1.0]}, {1: []}, {1: [0.0]}, {0: [1.0], 1: [1.0]}])
def test_times_that_nothing_follows_from_are_refused(times: dict[int, list[float]]) -> None:
    with pytest.raises(ValueError, match="allowed"):
        Service(times)
