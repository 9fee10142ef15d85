"""The Triton side of a diffusion model: requests become coroutines on one event loop, networks are asked by BLS.

One class for both transaction policies, as the model's configuration says: a decoupled model streams its progress, any
other answers once, and runs the requests that it is given together side by side.
"""

import asyncio
import json
import threading
from collections.abc import Callable, Coroutine, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import AbstractContextManager
from functools import partial
from typing import Any, TypeVar

import numpy as np
import triton_python_backend_utils as pb_utils  # part of the server: importable inside its stubs only

from concord.adapter import canary_response, error_response, internal_error_response
from concord.canary import is_canary
from concord.errors import Busy, Cancelled, ConcordError, InvalidSetting, typed_error
from concord.limits import Limits
from concord.loops.diffharmony import Diffusion, Sample
from concord.loops.request import Defaults, DiffusionRequest
from concord.loops.step_barrier import StepBarrier

_Value = TypeVar("_Value")

_FINAL = pb_utils.TRITONSERVER_RESPONSE_COMPLETE_FINAL
_COMPUTING_THREADS = 2
_STEPPING = "unet"
_PATIENCE = 0.003  # seconds; who comes back from a step comes back sooner, unless it has a preview to draw


class LoopModel:
    """Base of a ``TritonPythonModel`` that runs :class:`concord.loops.diffharmony.Diffusion`."""

    def initialize(self, args: Mapping[str, str]) -> None:
        """Triton's entry point when the model is loaded."""
        config = json.loads(args["model_config"])
        self._name = args["model_name"]
        self._decoupled = pb_utils.using_decoupled_model_transaction_policy(config)
        self._defaults = Defaults.from_config(config)
        self._limits = Limits.from_environment()
        self._jobs: set[_Host] = set()
        self._computing = ThreadPoolExecutor(_COMPUTING_THREADS)
        self._steps = StepBarrier(_PATIENCE)
        self._loop = asyncio.new_event_loop()
        # BLS waits in a thread of the loop's executor, and goes on after its job has run out of time: twice the jobs.
        self._loop.set_default_executor(ThreadPoolExecutor(2 * self._defaults.max_jobs))
        threading.Thread(target=self._loop.run_forever, daemon=True).start()

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
        self._loop.call_soon_threadsafe(self._loop.stop)

    def _start(self, request: Any, sender: Any, finish: Callable[[Any], None]) -> None:
        """Begins to answer a request; ``finish`` is called once, with its last response."""
        try:
            if is_canary(request.parameters()):
                finish(canary_response())
                return
            if len(self._jobs) >= self._defaults.max_jobs:
                raise Busy(self._name, f"{self._defaults.max_jobs} requests are being answered", "to try again later")
            host = _Host(self._name, request, sender, self._computing, self._steps)
            # Read here: Triton keeps a request's tensors only until this call is over.
            order = DiffusionRequest.from_inputs(_inputs(request), self._defaults)
            self._jobs.add(host)
            asyncio.run_coroutine_threadsafe(self._answer(order, host, finish), self._loop)
        except Exception as error:
            finish(_failed(self._name, error))

    async def _answer(self, order: DiffusionRequest, host: "_Host", finish: Callable[[Any], None]) -> None:
        host.total = order.steps
        try:
            answer = await Diffusion(order, host, self._limits).harmonize()
            response = host.response(order.steps, b"", answer)
        except BaseException as error:
            response = _failed(self._name, error)
        # Before the client hears of it, who may send the next one at once.
        self._jobs.discard(host)
        await self._loop.run_in_executor(self._computing, finish, response)


class _Host:
    """:class:`concord.loops.diffharmony.Host` for one request."""

    total = 0

    def __init__(
        self, model: str, request: Any, sender: Any, computing: ThreadPoolExecutor, steps: StepBarrier
    ) -> None:
        self._model = model
        self._is_cancelled = (sender or request).is_cancelled
        self._sender = sender
        self._requested = request.requested_output_names()
        self._computing = computing
        self._steps = steps

    async def ask(self, model: str, inputs: Sample, outputs: Sequence[str]) -> Sample:
        if model == _STEPPING:
            async with self._steps.step():
                self.check()
                response = await self._exec(model, inputs, outputs)
        else:
            response = await self._exec(model, inputs, outputs)
        if response.has_error():
            raise _relayed(model, response.error().message())
        # Copied: the memory of a response's tensors goes with the response.
        return {tensor.name(): _unwrapped(np.array(tensor.as_numpy()[0])) for tensor in response.output_tensors()}

    async def has(self, model: str) -> bool:
        # Triton looks for the model before it misses the inputs.
        response = await self._exec(model, {}, ())
        return "is not ready" not in response.error().message()

    async def compute(self, function: Callable[..., _Value], *arguments: Any) -> _Value:
        return await asyncio.get_running_loop().run_in_executor(self._computing, function, *arguments)

    def denoising(self) -> AbstractContextManager[None]:
        return self._steps.party()

    async def report(self, step: int, preview: bytes) -> None:
        if self._sender is not None:
            self._sender.send(self.response(step, preview, {}))

    def check(self) -> None:
        if self._is_cancelled():
            raise Cancelled(self._model, "the client cancelled the request")

    def response(self, step: int, preview: bytes, answer: Sample) -> Any:
        """Progress, and on the last step the answer."""
        tensors = {
            "STEP": np.array([step], np.int32),
            "TOTAL": np.array([self.total], np.int32),
            "PREVIEW": preview,
            **answer,
        }
        return pb_utils.InferenceResponse(
            [pb_utils.Tensor(name, _wrapped(value)) for name, value in tensors.items() if name in self._requested]
        )

    def _exec(self, model: str, inputs: Sample, outputs: Sequence[str]) -> Coroutine[Any, Any, Any]:
        request = pb_utils.InferenceRequest(
            model_name=model,
            requested_output_names=list(outputs),
            inputs=[pb_utils.Tensor(name, _wrapped(value)) for name, value in inputs.items()],
            preferred_memory=pb_utils.PreferredMemory(pb_utils.TRITONSERVER_MEMORY_CPU),
        )
        return request.async_exec()  # type: ignore[no-any-return]


def _inputs(request: Any) -> dict[str, Any]:
    """The inputs of a request of one sample, all of which are single values."""
    values = {tensor.name(): tensor.as_numpy() for tensor in request.inputs()}
    for name, value in values.items():
        if value.shape != (1, 1):
            raise InvalidSetting(name, f"has the shape {list(value.shape)}", "[1, 1]: one sample in a request")
    return {name: value.item() for name, value in values.items()}


def _wrapped(value: Any) -> Any:
    """A sample's tensor with the batch axis in front."""
    return np.array([[value]], object) if isinstance(value, bytes) else np.ascontiguousarray(value)[np.newaxis]


def _unwrapped(value: Any) -> Any:
    return value.item() if value.dtype == object else value


def _relayed(model: str, message: str) -> ConcordError:
    """The error of a model that was asked, for the client."""
    error = typed_error(message)
    if error is None:
        pb_utils.Logger.log_error(f"{model}: {message}")
        error = ConcordError(model, "the model failed to answer; the server's log says why")
    return error


def _failed(model: str, error: BaseException) -> Any:
    return error_response(error) if isinstance(error, ConcordError) else internal_error_response(model, error)
