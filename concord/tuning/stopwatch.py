"""Times of network variants in the real server, in milliseconds, one request at a time.

A server holds all networks of one profile, and one network runs at a time, so that the others' threads and memory do
not disturb it. Servers are restarted every round, forwards and backwards, so that a busy period affects all of them.
"""

import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray
from tritonclient.grpc import InferenceServerClient  # type: ignore[import-untyped]
from tritonclient.utils import InferenceServerException  # type: ignore[import-untyped]

from concord.errors import ServerFailure
from concord.instruments.networks import request_tensors
from concord.instruments.started_server import serving_variants
from concord.variants import Variant

LEAST_REQUESTS = 3

Feeds = Mapping[str, NDArray[Any]]
Say = Callable[[str], object]


@dataclass
class Times:
    """By variant, the median milliseconds of every round, or why it could not be served or asked."""

    milliseconds: dict[Variant, list[float]] = field(default_factory=dict)
    problems: dict[Variant, str] = field(default_factory=dict)

    def median(self, variant: Variant) -> float:
        return float(np.median(self.milliseconds[variant]))


def time_variants(
    groups: Mapping[str, Iterable[Variant]], feeds: Mapping[str, Feeds], rounds: int, seconds: float, say: Say
) -> Times:
    """Times every variant in every round.

    Args:
        groups: variants that are served at the same time, by the profile's name.
        feeds: one sample of the inputs of every network, by its name.
        seconds: duration for one variant in a round; at least `LEAST_REQUESTS` requests.
        say: is called with a line for every server.
    """
    times = Times()
    order = list(groups.items())
    for number in range(rounds):
        for profile, group in order if number % 2 == 0 else reversed(order):
            say(f"round {number + 1} of {rounds}: {profile}")
            _visit([variant for variant in group if variant not in times.problems], feeds, seconds, times)
    for variant in times.problems:
        times.milliseconds.pop(variant, None)
    return times


def _visit(group: list[Variant], feeds: Mapping[str, Feeds], seconds: float, times: Times) -> None:
    if not group:
        return
    try:
        chosen = {variant.model: variant for variant in group}
        with serving_variants(chosen) as server, InferenceServerClient(server.grpc_url) as client:
            for variant in group:
                try:
                    spent = _time(client, variant.model, feeds[variant.model], seconds)
                    times.milliseconds.setdefault(variant, []).append(spent)
                except InferenceServerException as error:
                    times.problems[variant] = f"cannot be asked: {error.message()}"
    except ServerFailure as failure:
        # A variant that does not load prevents the whole server from starting.
        if len(group) == 1:
            times.problems[group[0]] = f"cannot be served: {failure.problem}"
            return
        for variant in group:
            _visit([variant], feeds, seconds, times)


def _time(client: Any, model: str, feeds: Feeds, seconds: float) -> float:
    """Median milliseconds of a request; the first request does not count."""
    inputs = request_tensors(feeds)
    client.infer(model, inputs)
    spent: list[float] = []
    end = time.perf_counter() + seconds
    while len(spent) < LEAST_REQUESTS or time.perf_counter() < end:
        began = time.perf_counter()
        client.infer(model, inputs)
        spent.append((time.perf_counter() - began) * 1000)
    return float(np.median(spent))
