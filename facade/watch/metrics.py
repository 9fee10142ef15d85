"""What the facade counts, for Prometheus.

Every label is one of a fixed few: a route's template, a public model, a method of HTTP, a status, a problem's code.
"""

from collections.abc import Iterator

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Histogram,
    PlatformCollector,
    ProcessCollector,
    disable_created_metrics,
)
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector

from facade.work.admission import Admission

BUCKETS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0, 600.0)
"""Seconds: from a refusal to many steps on a CPU."""

OTHER = "other"
_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})


class Metrics(Collector):
    """The metrics of one application, in a registry of their own.

    Args:
        load: knows the models; another name is counted as ``other``.
    """

    def __init__(self, load: Admission) -> None:
        # A series beside each counter that only says when the process first counted there.
        disable_created_metrics()  # type: ignore[no-untyped-call]
        self.registry = CollectorRegistry()
        ProcessCollector(registry=self.registry)
        PlatformCollector(registry=self.registry)
        self._load = load
        labels = ("method", "route", "model", "status")
        self._requests = Counter("concord_requests", "Requests answered", labels, registry=self.registry)
        self._seconds = Histogram(
            "concord_request_seconds",
            "Time from the first byte of a request to the last of its answer",
            ("route", "model"),
            buckets=BUCKETS,
            registry=self.registry,
        )
        self._rejections = Counter(
            "concord_rejections",
            "Requests answered with a problem, by its code",
            ("route", "reason"),
            registry=self.registry,
        )
        self.registry.register(self)

    def count(self, method: str, route: str, model: str, status: int, seconds: float, reason: str = "") -> None:
        """Counts one request that was answered.

        Args:
            method: of HTTP.
            route: the route's template, never the path that was asked for.
            model: the public model, empty where none was asked.
            status: 499 where the client went away.
            seconds: how long it took.
            reason: the problem's code, where it was answered with one.
        """
        model = model if not model or model in self._load.running else OTHER
        method = method if method in _METHODS else OTHER
        self._requests.labels(method, route, model, str(status)).inc()
        self._seconds.labels(route, model).observe(seconds)
        if reason:
            self._rejections.labels(route, reason).inc()

    def collect(self) -> Iterator[GaugeMetricFamily]:
        """The gauges as they are now."""
        for name, meaning, by_model in (
            ("concord_queue_depth", "Requests that wait for Triton", self._load.waiting),
            ("concord_in_flight", "Requests that Triton is answering", self._load.running),
        ):
            family = GaugeMetricFamily(name, meaning, labels=["model"])
            for model, count in by_model.items():
                family.add_metric([model], count)
            yield family
