"""The Triton side of a loop: requests become coroutines on one event loop, networks are asked by BLS.

One class for both transaction policies, as the model's configuration says: a decoupled model streams its progress, any
other answers once, and runs the requests that it is given together side by side.
"""

import asyncio
import json
import threading
from collections import defaultdict
from collections.abc import Callable, Collection, Coroutine, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from functools import partial
from typing import Any, ClassVar, TypeVar

import numpy as np
import triton_python_backend_utils as pb_utils  # part of the server: importable inside its stubs only

from concord.adapter import canary_response, error_response, unwrapped
from concord.canary import is_canary
from concord.errors import Busy, Cancelled, ConcordError, InvalidSetting, ServerFailure, typed_error
from concord.limits import Limits
from concord.loops.host import Sample
from concord.loops.loop import Loop
from concord.loops.request import LoopRequest
from concord.loops.step_barrier import StepBarrier
from concord.model_config import InvalidParameter, whole_parameter
from concord_client.catalogue import PREVIEW, STEP, TOTAL, Pipeline
from concord_client.errors import tells_of_loss

_Value = TypeVar("_Value")

_FINAL = pb_utils.TRITONSERVER_RESPONSE_COMPLETE_FINAL
_COMPUTING_THREADS = 2
_SENDING_THREADS = 2
_PAUSE = 0.2  # seconds until a model whose process has died is asked again
_TRIES = 5
_PATIENCE = 0.003  # seconds; a request is back from a step sooner, unless it has a preview to draw
_MOST_JOBS = 256


class LoopModel:
    """Base of a ``TritonPythonModel`` that runs a `Loop`; the model's configuration declares its pipeline.

    The parameter ``max_jobs`` (16) limits the requests that are answered at a time; further ones are refused.
    """

    loop: ClassVar[type[Loop]]

    def shared(self, config: Mapping[str, Any]) -> tuple[Any, ...]:
        """What every loop of the model is given besides, made once."""
        return ()

    def initialize(self, args: Mapping[str, str]) -> None:
        """Triton's entry point when the model is loaded."""
        config = json.loads(args["model_config"])
        self._name = args["model_name"]
        self._decoupled = pb_utils.using_decoupled_model_transaction_policy(config)
        if (pipeline := Pipeline.of(config)) is None:
            raise InvalidParameter("task", "is missing", "the pipeline's task")
        self._pipeline = pipeline
        self._many = {tensor["name"] for tensor in config["input"] if -1 in map(int, tensor["dims"])}
        self._max_jobs = whole_parameter(config, "max_jobs", 16, 1, _MOST_JOBS)
        self._limits = Limits.from_environment()
        self._shared = self.shared(config)
        self._jobs: set[_Host] = set()
        self._computing = ThreadPoolExecutor(_COMPUTING_THREADS)
        self._sending = ThreadPoolExecutor(_SENDING_THREADS)
        self._barriers: defaultdict[str, StepBarrier] = defaultdict(lambda: StepBarrier(_PATIENCE))
        self._events = asyncio.new_event_loop()
        # BLS waits in a thread of the event loop's executor, and goes on after its job ran out of time: twice the jobs.
        self._events.set_default_executor(ThreadPoolExecutor(2 * self._max_jobs))
        threading.Thread(target=self._events.run_forever, daemon=True).start()

    def execute(self, requests: list[Any]) -> list[Any] | None:
        """Triton's entry point for requests; returns at once where the model is decoupled."""
        if self._decoupled:
            for request in requests:
                sender = request.get_response_sender()
                self._start(request, sender, partial(sender.send, flags=_FINAL))
            return None
        answers = [Future[Any]() for _ in requests]
        for request, answer in zip(requests, answers, strict=True):
            self._start(request, None, answer.set_result)
        return [answer.result() for answer in answers]

    def finalize(self) -> None:
        """Triton's entry point when the model is unloaded, which it does when every request is answered."""
        self._events.call_soon_threadsafe(self._events.stop)

    def _start(self, request: Any, sender: Any, finish: Callable[[Any], None]) -> None:
        """Begins to answer a request; ``finish`` is called once, with its last response."""
        try:
            if is_canary(request.parameters()):
                finish(canary_response())
                return
            if len(self._jobs) >= self._max_jobs:
                raise Busy(self._name, f"{self._max_jobs} requests are being answered", "to try again later")
            host = _Host(self._name, request, sender, self._computing, self._barriers)
            # Read here: Triton keeps a request's tensors only until this call is over.
            given = LoopRequest.read(self._pipeline, _inputs(request, self._many))
            loop = self.loop(given, host, self._limits, *self._shared)
            self._jobs.add(host)
            asyncio.run_coroutine_threadsafe(self._answer(loop, host, finish), self._events)
        except Exception as error:
            finish(error_response(self._name, error))

    async def _answer(self, loop: Loop, host: "_Host", finish: Callable[[Any], None]) -> None:
        try:
            await self._require(loop.request.models)
            answer = await loop.run()
            response = host.response(loop.steps, loop.steps, b"", answer)
        except BaseException as error:
            response = error_response(self._name, error)
        # Before the client gets its answer: it may send the next request at once.
        self._jobs.discard(host)
        await self._events.run_in_executor(self._sending, finish, response)

    async def _require(self, models: Mapping[str, str]) -> None:
        """Refuses a request whose optional parts are not there, or have not passed their gate.

        Without the other parts the pipeline is not served.
        """
        for role, model in models.items():
            part = self._pipeline.parts[role]
            name = part.input
            if name and not await self._events.run_in_executor(None, pb_utils.is_model_ready, model):
                raise InvalidSetting(name, f"needs the model '{model}', which this server does not have")
            if part.barred:
                raise InvalidSetting(name, f"is {part.value!r}; {part.barred}", f"another {name}")


class _Host:
    """:class:`concord.loops.host.Host` for one request."""

    def __init__(
        self, model: str, request: Any, sender: Any, computing: ThreadPoolExecutor, barriers: Mapping[str, StepBarrier]
    ) -> None:
        self._model = model
        self._is_cancelled = (sender or request).is_cancelled
        self._sender = sender
        self._requested = request.requested_output_names()
        self._computing = computing
        self._barriers = barriers
        self._stepping: dict[str, StepBarrier] = {}

    async def ask(self, model: str, inputs: Sample, outputs: Sequence[str]) -> Sample:
        [answer] = await self.ask_together(model, [inputs], outputs)
        return answer

    async def ask_together(self, model: str, samples: Sequence[Sample], outputs: Sequence[str]) -> list[Sample]:
        # Not again behind the barrier: it takes a millisecond, and steps that start together are to arrive together.
        self._check()
        inputs = {name: _batch([sample[name] for sample in samples]) for name in samples[0]}
        if barrier := self._stepping.get(model):
            async with barrier.step():
                response = await self._response(model, inputs, outputs)
        else:
            response = await self._response(model, inputs, outputs)
        if response.has_error():
            raise _relayed(model, response.error().message())
        tensors = {tensor.name(): tensor.as_numpy() for tensor in response.output_tensors()}
        # Copied: the memory of a response's tensors goes with the response.
        return [
            {name: unwrapped(np.array(rows[number])) for name, rows in tensors.items()}
            for number in range(len(samples))
        ]

    async def _response(self, model: str, inputs: Sample, outputs: Sequence[str]) -> Any:
        """A model's response; one whose process has died is asked again, because it is loaded again."""
        for _ in range(_TRIES):
            response = await self._exec(model, inputs, outputs)
            if not (response.has_error() and tells_of_loss(response.error().message())):
                return response
            await asyncio.sleep(_PAUSE)
            self._check()
        raise ServerFailure(model, "its process has ended")

    async def compute(self, function: Callable[..., _Value], *arguments: Any) -> _Value:
        self._check()
        return await asyncio.get_running_loop().run_in_executor(self._computing, function, *arguments)

    @contextmanager
    def stepping(self, model: str) -> Iterator[None]:
        barrier = self._stepping[model] = self._barriers[model]
        try:
            with barrier.party():
                yield
        finally:
            del self._stepping[model]

    async def report(self, step: int, total: int, preview: bytes) -> None:
        if self._sender is not None:
            self._sender.send(self.response(step, total, preview, {}))

    def response(self, step: int, total: int, preview: bytes, answer: Sample) -> Any:
        """Progress, and at the end the answer."""
        progress = {STEP: np.array([step], np.int32), TOTAL: np.array([total], np.int32), PREVIEW: preview}
        tensors = {**progress, **answer}
        return pb_utils.InferenceResponse(
            [pb_utils.Tensor(name, _batch([value])) for name, value in tensors.items() if name in self._requested]
        )

    def _check(self) -> None:
        if self._is_cancelled():
            raise Cancelled(self._model, "the client cancelled the request")

    def _exec(self, model: str, inputs: Sample, outputs: Sequence[str]) -> Coroutine[Any, Any, Any]:
        request = pb_utils.InferenceRequest(
            model_name=model,
            requested_output_names=list(outputs),
            inputs=[pb_utils.Tensor(name, value) for name, value in inputs.items()],
            preferred_memory=pb_utils.PreferredMemory(pb_utils.TRITONSERVER_MEMORY_CPU),
        )
        return request.async_exec()  # type: ignore[no-any-return]


def _inputs(request: Any, many: Collection[str]) -> dict[str, Any]:
    """The inputs of a request of one sample: single values, and of those that may be many a list."""
    values = {tensor.name(): tensor.as_numpy() for tensor in request.inputs()}
    for name, value in values.items():
        if value.shape != (1, 1) and not (name in many and len(value) == 1):
            allowed = "[1, N]" if name in many else "[1, 1]"
            raise InvalidSetting(name, f"has the shape {list(value.shape)}", f"{allowed}: one sample in a request")
    return {name: value[0].tolist() if name in many else value.item() for name, value in values.items()}


def _batch(values: Sequence[Any]) -> Any:
    """The samples' tensors with the batch axis in front."""
    if isinstance(values[0], bytes):
        return np.array([[value] for value in values], object)
    return np.ascontiguousarray(values[0])[np.newaxis] if len(values) == 1 else np.stack(values)


def _relayed(model: str, message: str) -> ConcordError:
    """The error of a model that was asked, for the client."""
    if error := typed_error(message):
        return error
    pb_utils.Logger.log_error(f"{model}: {message}")
    return ConcordError(model, "the model failed to answer; the server's log says why")
