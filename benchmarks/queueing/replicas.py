"""How many replicas a rate needs, so that few wait longer than they want."""

import math

import numpy as np

from benchmarks.load.generator import arrivals
from benchmarks.queueing.simulation import Seconds, Service, simulate

REQUESTS = 20_000
"""In one simulation."""
EMPTY = 0.1
"""Of a simulation, the part that does not count: it begins without a queue."""
MOST = 1000


def at_rate(service: Service, rate: float, replicas: int, requests: int = REQUESTS, seed: int = 0) -> Seconds:
    """Seconds of requests that come at a rate a second, at random; infinite for those that are refused."""
    took = simulate(service, arrivals(rate, requests / rate, seed), replicas, seed)
    return took[int(EMPTY * len(took)) :]


def p99(took: Seconds) -> float:
    """Seconds within which 99 of 100 requests are answered, those that are refused among the others."""
    return float(np.quantile(took, 0.99, method="higher"))


def needed(service: Service, rate: float, seconds: float, requests: int = REQUESTS) -> int | None:
    """The fewest replicas that answer 99 of 100 requests in time; None where no number of them does.

    Args:
        rate: requests a second, of a Poisson process.
        seconds: from when a request is due until it is answered.
    """
    if np.quantile(service.times[1], 0.99) > seconds:
        return None
    fewest = math.floor(rate / service.per_second) + 1
    fit = (each for each in range(fewest, MOST) if p99(at_rate(service, rate, each, requests)) <= seconds)
    return next(fit, None)
