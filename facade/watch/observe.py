"""Watches every request: its id, its trace, its line in the log, its place in the metrics."""

import asyncio
import re
import time
import uuid
from dataclasses import dataclass
from typing import Any

import structlog
from fastapi import FastAPI
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from facade.problems import Problem, problem_of
from facade.watch.metrics import OTHER, Metrics
from facade.watch.tracing import Trace
from facade.work.admission import Admission

REQUEST_ID = "X-Request-Id"
CLIENT_LEFT = 499
_READYZ = "/readyz"
_OF_TRITON = frozenset({"unavailable", "server_failure"})
_ACCEPTABLE_ID = re.compile(rb"[A-Za-z0-9._:/+=-]{1,128}")

_log = structlog.get_logger("facade.request")


@dataclass(frozen=True)
class Observer:
    """ASGI middleware.

    Leaves in ``scope["state"]``, which is ``request.state``:

    * ``request_id``: the caller's ``X-Request-Id`` where it is a short plain one, else a new one; it is in the answer's
      header of that name too.
    * ``trace``: a :class:`facade.watch.tracing.Trace`, whose ``headers`` go on to Triton.

    Takes from there what a route or an error handler put in: ``model``, ``job`` and ``problem`` (the code); and
    ``key``, the name of the key that was used.

    An error that nobody has handled is answered here, so that this answer too has its id; and where Triton did not
    answer, ``app.state.readiness`` is told to ask.
    """

    app: ASGIApp
    metrics: Metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Passes the request on and writes down what came of it."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        answer = _Answer(send, _request_id(scope), time.perf_counter())
        state: dict[str, Any] = scope.setdefault("state", {})
        state["request_id"] = answer.request_id
        state["trace"] = Trace.of(scope["headers"])
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

    def _note(self, scope: Scope, answer: "_Answer") -> None:
        state = scope["state"]
        # A template such as /v1/jobs/{job}; the page has none.
        route = getattr(scope.get("route"), "path_format", None) or OTHER
        seconds = time.perf_counter() - answer.started
        status = answer.status if answer.complete else CLIENT_LEFT
        model, problem = state.get("model", ""), state.get("problem", "")
        self.metrics.count(scope["method"], route, model, status, seconds, problem)
        if problem in _OF_TRITON and route != _READYZ:
            scope["app"].state.readiness.doubt()
        noted = {"model": model, "problem": problem, "trace_id": state["trace"].trace_id}
        noted |= {"job": state.get("job"), "key": state.get("key")}
        _log.info(
            "request",
            method=scope["method"],
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
    status: int = 0
    complete: bool = False

    async def send(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.status = message["status"]
            header = (REQUEST_ID.lower().encode(), self.request_id.encode())
            message = {**message, "headers": [*message.get("headers", ()), header]}
        elif message["type"] == "http.response.body":
            self.complete = not message.get("more_body", False)
        await self.sender(message)


def install(app: FastAPI, load: Admission) -> None:
    """Puts the observer around the application and its metrics at ``app.state.metrics``."""
    app.state.metrics = Metrics(load)
    app.add_middleware(Observer, metrics=app.state.metrics)


def _request_id(scope: Scope) -> str:
    wanted = REQUEST_ID.lower().encode()
    given = next((value for name, value in scope["headers"] if name == wanted), b"")
    return given.decode() if _ACCEPTABLE_ID.fullmatch(given) else uuid.uuid4().hex
