"""The calls of a client, written once: generators that yield operations and are sent what those answer.

Nothing here waits or touches a network. `concord_client.client` performs the operations in the caller's thread,
`concord_client.aio` in an event loop.
"""

import time
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from typing import Generic, TypeVar

from concord_client.catalogue import Catalogue, Pipeline
from concord_client.errors import DeadlineExceeded, InvalidInput, ModelNotFound, Unavailable
from concord_client.inference import Inference, outputs_of, read_settings, stream_outputs
from concord_client.operations import Call, Configure, Deadline, Describe, Index, Infer, InferSteps, Read, Ready, Sleep
from concord_client.repository import Model
from concord_client.retry import Retry
from concord_client.settings import Scalar, SettingValue, encode_text
from concord_client.steps import OnStep, Steps
from concord_client.tasks.fields import Tensors
from concord_client.tasks.request import A, Request
from concord_client.transport import Address

READY_PROBE_TIMEOUT = 5.0
READY_INTERVAL = 0.2
DOUBT_INTERVAL = 1.0
"""Seconds after which what a client knows of its server is asked again before a request is refused because of it."""

T = TypeVar("T")


@dataclass(frozen=True)
class Wish(Generic[A]):
    """A request, and how it is to be answered: the arguments of `concord_client.Client.run`."""

    request: Request[A]
    model: str | None = None
    settings: Mapping[str, SettingValue] = field(default_factory=dict)
    on_step: OnStep | None = None
    without: Collection[str] = ()
    headers: Mapping[str, str] = field(default_factory=dict)


class Calls:
    """The calls of one client, and what it knows of its server.

    Args:
        address: of the server.
        timeout: seconds a call may take where it does not say otherwise; None for what the pipeline declares.
        retry: when and how often a call that found the server unavailable is tried again.
    """

    def __init__(self, address: Address, timeout: float | None, retry: Retry) -> None:
        self._address = address
        self._timeout = timeout
        self._retry = retry
        self._catalogue: Catalogue | None = None
        self._asked = -float("inf")

    def run(self, wish: Wish[A], timeout: float | None) -> Call[A]:
        """See `concord_client.Client.run`."""
        deadline = self._deadline(timeout)
        inputs = yield from _read(wish.request)

        def plan(catalogue: Catalogue) -> tuple[Pipeline, Inference]:
            return _plan(catalogue, wish, inputs, streams=self._address.streams)

        answer_type = wish.request.answer_type()
        steps = Steps([each.tensor for each in answer_type.fields() if each.required], wish.on_step)
        pipeline, inference = yield from self._planned(plan, deadline)
        try:
            tensors = yield from self._answered(pipeline, inference, steps, deadline)
        except ModelNotFound:
            # The server has changed since it was asked for its catalogue.
            self._catalogue = None
            another, inference = yield from self._planned(plan, deadline)
            if steps.begun or another == pipeline:
                raise
            tensors = yield from self._answered(another, inference, steps, deadline)
        return answer_type.of(tensors)

    def catalogue(self, max_age: float | None, timeout: float | None) -> Call[Catalogue]:
        """See `concord_client.Client.catalogue`."""
        return (yield from self._known(self._deadline(timeout), max_age))

    def models(self, timeout: float | None) -> Call[list[Model]]:
        """See `concord_client.Client.models`."""
        deadline = self._deadline(timeout)

        def describe() -> Call[list[Model]]:
            models: list[Model] = yield Index(deadline)
            described = iter((yield Describe(tuple(model for model in models if model.ready), deadline)))
            return [next(described) if model.ready else model for model in models]

        return (yield from self._persisting(describe, deadline))

    def ready(self, timeout: float) -> Call[bool]:
        """See `concord_client.Client.ready`."""
        try:
            return bool((yield Ready(Deadline(timeout))))
        except (Unavailable, DeadlineExceeded):
            return False

    def wait_until_ready(self, timeout: float) -> Call[None]:
        """See `concord_client.Client.wait_until_ready`."""
        deadline = Deadline(timeout)
        while True:
            problem = Unavailable(f"the server at {self._address.url} was not ready within {timeout:g} s")
            try:
                if (yield Ready(Deadline(min(READY_PROBE_TIMEOUT, timeout)))):
                    return
            except Unavailable as error:
                problem = error
            except DeadlineExceeded:
                pass
            if deadline.left <= READY_INTERVAL:
                raise problem
            yield Sleep(READY_INTERVAL)

    def _deadline(self, timeout: float | None) -> Deadline:
        return Deadline(self._timeout if timeout is None else timeout)

    def _answered(self, pipeline: Pipeline, inference: Inference, steps: Steps, deadline: Deadline) -> Call[Tensors]:
        deadline.declare(pipeline.deadline)

        def ask() -> Call[Tensors]:
            timed = inference.within(deadline.left) if pipeline.has_deadline else inference
            if pipeline.streams:
                yield InferSteps(timed, deadline, steps.receive)
                return steps.last
            tensors: Tensors = yield Infer(timed, deadline)
            return tensors

        return (yield from self._persisting(ask, deadline, lambda: not steps.begun))

    def _known(self, deadline: Deadline, max_age: float | None = None) -> Call[Catalogue]:
        known = self._catalogue
        if known is not None and (max_age is None or time.monotonic() - self._asked < max_age):
            return known
        return (yield from self._persisting(lambda: self._look(deadline), deadline))

    def _look(self, deadline: Deadline) -> Call[Catalogue]:
        asked = time.monotonic()
        models: list[Model] = yield Index(deadline)
        ready = tuple(dict.fromkeys(model.name for model in models if model.ready))
        try:
            configs = yield Configure(ready, deadline)
        except ModelNotFound as error:
            raise Unavailable(f"{error.model!r} was unloaded while the server's models were listed") from None
        self._catalogue, self._asked = Catalogue.of(configs, readable=True), asked
        return self._catalogue

    def _planned(self, plan: Callable[[Catalogue], T], deadline: Deadline) -> Call[T]:
        """What a plan makes of the catalogue; one that is refused is made again if the server has changed since."""
        catalogue = yield from self._known(deadline)
        try:
            return plan(catalogue)
        except (ModelNotFound, InvalidInput):
            newer = yield from self._known(deadline, DOUBT_INTERVAL)
            if newer is catalogue:
                raise
            return plan(newer)

    def _persisting(
        self, attempt: Callable[[], Call[T]], deadline: Deadline, may_retry: Callable[[], bool] = lambda: True
    ) -> Call[T]:
        failures = 0
        while True:
            try:
                return (yield from attempt())
            except DeadlineExceeded:
                raise DeadlineExceeded(deadline.seconds) from None
            except Unavailable:
                failures += 1
                delay = self._retry.delay(failures, deadline.left)
                if delay is None or not may_retry():
                    raise
            yield Sleep(delay)


def _read(request: Request[A]) -> Call[dict[str, Scalar]]:
    tensors: dict[str, Scalar] = {}
    for each in request.given():
        value = getattr(request, each.name)
        tensors[each.tensor] = (yield Read(value)) if each.kind == "image" else encode_text(value)
    return tensors


def _plan(
    catalogue: Catalogue, wish: Wish[A], inputs: Mapping[str, Scalar], *, streams: bool
) -> tuple[Pipeline, Inference]:
    task = wish.request.TASK
    pipeline = catalogue.choose(task, wish.model, inputs.keys(), streams=streams)
    if wish.on_step is not None and not catalogue.has_steps(task, pipeline.model):
        raise ValueError(f"on_step is for a model with steps; {pipeline.model} has none")
    tensors = {**inputs, **read_settings(catalogue, pipeline, wish.settings)}
    outputs = outputs_of(pipeline, type(wish.request), wish.without)
    if pipeline.streams:
        outputs = stream_outputs(tensors) + outputs
    return pipeline, Inference(pipeline.name, tensors, outputs, wish.headers)
