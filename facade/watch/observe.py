"""Watches every request: its id, its trace, its line in the log, its place in the metrics for Prometheus.

Every label is one of a fixed few: a route's template, a public model, a method of HTTP, a status, a problem's code.
"""

import asyncio
import re
import time
import uuid
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import prometheus_client
import structlog
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector
from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from concord_client import tracing
from facade.problems import Problem, problem_of
from facade.work.admission import Admission
from facade.work.jobs import is_job_id
from facade.work.stages import Stages

BUCKETS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0, 600.0)
"""Seconds: from a refusal to many steps on a CPU."""

OTHER = "other"
_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
REQUEST_ID = "X-Request-Id"
CLIENT_LEFT = 499
_READYZ = "/readyz"
_OF_TRITON = frozenset({"unavailable", "server_failure"})
_ACCEPTABLE_ID = re.compile(r"[A-Za-z0-9._:/+=-]{1,128}")

_PARENT = re.compile(r"(?!ff)[0-9a-f]{2}-(?!0{32})([0-9a-f]{32})-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}(-[!-~]{0,200})?")
_MAX_STATE = 512

_log = structlog.get_logger("facade.request")


@dataclass(frozen=True)
class Trace:
    """The trace a request belongs to, in W3C's trace context.

    Where the facade makes no span of its own, it is passed on to Triton as it came, so that the caller's span is the
    parent of Triton's: a level-2 implementation that takes no part in a trace hands ``traceparent`` on unchanged
    (https://www.w3.org/TR/trace-context-2/).

    Attributes:
        trace_id: 32 hexadecimal digits; empty if the request belongs to none.
        headers: ``traceparent`` and ``tracestate``, to be sent on, as gRPC metadata or as HTTP headers; none where the
            facade's own span is the parent.
    """

    trace_id: str = ""
    headers: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def of(cls, headers: Iterable[tuple[bytes, bytes]]) -> "Trace":
        """The trace named by an ASGI request's headers; none where ``traceparent`` is missing, double or wrong."""
        given = Headers(raw=list(headers))
        parents = [each.strip() for each in given.getlist("traceparent")]
        found = _PARENT.fullmatch(parents[0]) if len(parents) == 1 else None
        # Version 00 has nothing after the flags.
        if found is None or (found[2] and parents[0].startswith("00")):
            return cls()
        state = ",".join(filter(None, (each.strip() for each in given.getlist("tracestate"))))
        passed = {"traceparent": parents[0]}
        if state and len(state) <= _MAX_STATE and state.isascii() and state.isprintable():
            passed["tracestate"] = state
        return cls(found[1], passed)


class Metrics(Collector):
    """The metrics of one application, in a registry of their own; a model that it does not know counts as ``other``."""

    def __init__(
        self,
        load: Admission,
        stages: Stages,
        is_ready: Callable[[], bool],
        shares_rates: Callable[[], bool | None] = lambda: None,
    ) -> None:
        # A series beside each counter that only says when the process first counted there.
        prometheus_client.disable_created_metrics()  # type: ignore[no-untyped-call]
        registry = self.registry = prometheus_client.CollectorRegistry()
        prometheus_client.ProcessCollector(registry=registry)
        prometheus_client.PlatformCollector(registry=registry)
        registry.register(stages.seconds)
        self._load = load
        self._is_ready = is_ready
        self._shares_rates = shares_rates
        self.stages = stages
        labels = ("method", "route", "model", "status")
        self._requests = prometheus_client.Counter("concord_requests", "Requests answered", labels, registry=registry)
        self._seconds = prometheus_client.Histogram(
            "concord_request_seconds",
            "Time from the first byte of a request to the last of its answer",
            ("route", "model"),
            buckets=BUCKETS,
            registry=registry,
        )
        meaning, names = "Requests answered with a problem, by its code", ("route", "reason")
        self._rejections = prometheus_client.Counter("concord_rejections", meaning, names, registry=registry)
        registry.register(self)

    def count(self, method: str, route: str, model: str, status: int, seconds: float, reason: str = "") -> None:
        """Counts one request that was answered.

        Args:
            method: one of HTTP, or `OTHER`.
            route: the route's template, never the path that was asked for.
            model: the public model, empty where none was asked.
            status: 499 where the client went away.
            reason: the problem's code, where it was answered with one.
        """
        model = self.known(model)
        self._requests.labels(method, route, model, str(status)).inc()
        self._seconds.labels(route, model).observe(seconds)
        if reason:
            self._rejections.labels(route, reason).inc()

    def known(self, model: str) -> str:
        """The name of a public model, or empty; `OTHER` for any other."""
        return model if not model or model in self._load.running else OTHER

    def collect(self) -> Iterator[GaugeMetricFamily]:
        words = "1 if a real inference was answered lately, else 0; as /readyz"
        yield GaugeMetricFamily("concord_ready", words, float(self._is_ready()))
        if (shared := self._shares_rates()) is not None:
            words = "1 if requests of keys are counted with other replicas, 0 while the store for that is away"
            yield GaugeMetricFamily("concord_rates_shared", words, float(shared))
        for name, meaning, by_model in (
            ("concord_queue_depth", "Requests that wait for Triton", self._load.waiting),
            ("concord_in_flight", "Requests that Triton is answering", self._load.running),
        ):
            family = GaugeMetricFamily(name, meaning, labels=["model"])
            for model, count in by_model.items():
                family.add_metric([model], count)
            yield family


@dataclass(frozen=True)
class Observer:
    """ASGI middleware.

    Leaves in ``scope["state"]``, which is ``request.state``, ``trace`` and ``request_id``: the caller's header of that
    name where it is a short plain one, else a new one; the answer has it too. Takes from there what a route or an error
    handler put in: ``model``, ``job`` and ``problem`` (the code); and ``key``, the name of the key that was used.

    An error that nobody has handled is answered here, so that this answer too has its id; and where Triton did not
    answer, ``app.state.readiness`` is told to ask.
    """

    app: ASGIApp
    metrics: Metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        answer = _Answer(send, _request_id(scope), time.perf_counter(), lambda: self._describe(scope))
        state: dict[str, Any] = scope.setdefault("state", {})
        state["request_id"] = answer.request_id
        own = tracing.current_trace()
        state["trace"] = Trace(own) if own else Trace.of(scope["headers"])
        if scope["query_string"]:
            # No key is read there, and somebody may send one all the same.
            tracing.note({"url.query": ""})
        structlog.contextvars.bind_contextvars(request_id=answer.request_id)
        try:
            await self.app(scope, receive, answer.send)
        except Exception as error:
            _log.error("failed", exc_info=error)
            if answer.status:
                raise
            await problem_of(error).response(scope)(scope, receive, answer.send)
        except asyncio.CancelledError:
            # The facade is being stopped and waits no longer; this is the end of the request's task.
            if not answer.status:
                stopping = Problem("unavailable", "the facade is being stopped")
                await stopping.response(scope)(scope, receive, answer.send)
        finally:
            self._note(scope, answer)

    def _describe(self, scope: Scope) -> None:
        """Adds to the span of a request what is known of it, which has to be before its answer ends."""
        state = scope["state"]
        known = {"concord.model": self.metrics.known(state.get("model", "")), "concord.problem": state.get("problem")}
        tracing.note({name: value for name, value in known.items() if value})

    def _note(self, scope: Scope, answer: "_Answer") -> None:
        state = scope["state"]
        # A template such as /v1/jobs/{job}; the page has none.
        route = getattr(scope.get("route"), "path_format", None) or OTHER
        seconds = time.perf_counter() - answer.started
        status = answer.status if answer.complete else CLIENT_LEFT
        # What is not known is a caller's words, which are not written down.
        model, problem = self.metrics.known(state.get("model", "")), state.get("problem", "")
        method = scope["method"] if scope["method"] in _METHODS else OTHER
        self.metrics.count(method, route, model, status, seconds, problem)
        if (read := state.get("read")) is not None:
            self.metrics.stages.note("read", model, read)
        if problem in _OF_TRITON and route != _READYZ:
            scope["app"].state.readiness.doubt()
        noted = {"model": model, "problem": problem, "trace_id": state["trace"].trace_id}
        job = state.get("job") or ""
        noted |= {"job": job if is_job_id(job) else "", "key": state.get("key")}
        _log.info(
            "request",
            method=method,
            route=route,
            status=status,
            ms=round(seconds * 1000, 2),
            **{name: value for name, value in noted.items() if value},
        )


@dataclass
class _Answer:
    """What is sent in answer to one request, with its id put into the headers."""

    sender: Send
    request_id: str
    started: float
    describe: Callable[[], None]
    status: int = 0
    complete: bool = False

    async def send(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.status = message["status"]
            header = (REQUEST_ID.lower().encode(), self.request_id.encode())
            message = {**message, "headers": [*message.get("headers", ()), header]}
        elif message["type"] == "http.response.body":
            self.complete = not message.get("more_body", False)
        if self.complete or message["type"] == "http.response.start":
            self.describe()
        await self.sender(message)


def _request_id(scope: Scope) -> str:
    given = Headers(scope=scope).get(REQUEST_ID, "")
    return given if _ACCEPTABLE_ID.fullmatch(given) else uuid.uuid4().hex
