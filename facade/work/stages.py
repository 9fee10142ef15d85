"""The stages of requests: how long each takes, by model and by the profile of its networks; and a span for each."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import prometheus_client

from concord_client import tracing

BUCKETS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0, 600.0)
"""Seconds: from a place that was free to many steps on a CPU."""


class Stages:
    """Times stages of requests: ``read``, ``check``, ``queued``, ``inference`` and ``encode``.

    Args:
        profile_of: the profile that a model's networks are served in, by its name.
    """

    def __init__(self, profile_of: Callable[[str], str]) -> None:
        # A series beside each histogram that only says when the process first counted there.
        prometheus_client.disable_created_metrics()  # type: ignore[no-untyped-call]
        self._profile_of = profile_of
        self.seconds = prometheus_client.Histogram(
            "concord_stage_seconds",
            "Time that requests spent in a stage, failed ones too",
            ("stage", "model", "profile"),
            buckets=BUCKETS,
            registry=None,
        )

    @contextmanager
    def timed(self, stage: str, model: str) -> Iterator[None]:
        """The block is a stage of a request to a public model."""
        began = time.monotonic()
        try:
            with tracing.span(stage, attributes={"concord.model": model}):
                yield
        finally:
            self.note(stage, model, time.monotonic() - began)

    def note(self, stage: str, model: str, seconds: float) -> None:
        """A stage of a request took so long; the name of a model that is not known is not written down."""
        self.seconds.labels(stage, model, self._profile_of(model)).observe(seconds)
