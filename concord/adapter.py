"""What every Python model of Concord shares: it answers Triton's requests with a function of one sample.

Triton hands a model a list of requests, merged by its dynamic batcher; each carries a batch of samples.
"""

import os
import traceback
from collections.abc import Collection, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import numpy.typing as npt
import triton_python_backend_utils as pb_utils  # part of the server: importable inside its stubs only

from concord.canary import is_canary
from concord.errors import ConcordError, InvalidImage
from concord.heap import give_back_large_blocks

Sample = Mapping[str, Any]


class SampleModel:
    """Base of a ``TritonPythonModel``.

    Requests that were merged are answered side by side in threads (image codecs and numpy release the interpreter), and
    all at once, so that the next model finds them together and can merge them too.
    """

    def initialize(self, args: Mapping[str, str]) -> None:
        """Triton's entry point when the model is loaded."""
        give_back_large_blocks()
        self._name = args["model_name"]
        self._threads = ThreadPoolExecutor(os.cpu_count())
        self.load()

    def load(self) -> None:
        """Prepares what :meth:`answer` needs; runs once."""

    def answer(self, sample: Sample, requested: Collection[str]) -> Sample:
        """Outputs of one sample, by tensor name like its inputs: without the batch axis.

        A STRING [1] is ``bytes``, and a STRING [N] of the outputs a list of ``bytes``.

        Args:
            requested: names of the outputs that are asked for; expensive ones that are not can be left out.

        Raises:
            ConcordError: sent to the client as it is. Anything else is logged; the client learns only that it happened.
        """
        raise NotImplementedError

    def execute(self, requests: list[Any]) -> list[Any]:
        """Triton's entry point for requests."""
        if len(requests) == 1:
            return [self._respond(requests[0])]
        return list(self._threads.map(self._respond, requests))

    def _respond(self, request: Any) -> Any:
        if is_canary(request.parameters()):
            return canary_response()
        try:
            requested = request.requested_output_names()
            answers = [self.answer(sample, requested) for sample in _samples(request)]
            return pb_utils.InferenceResponse([pb_utils.Tensor(name, _stacked(name, answers)) for name in requested])
        except Exception as error:
            return error_response(self._name, error)


def canary_response() -> Any:
    """The answer to a canary: a proof of life needs no tensors."""
    return pb_utils.InferenceResponse([])


def error_response(model: str, error: BaseException) -> Any:
    """A response with a typed error; of any other the client learns only that it happened, and the log all of it."""
    if not isinstance(error, ConcordError):
        pb_utils.Logger.log_error("".join(traceback.format_exception(error)))
        error = ConcordError(model, "the server failed to answer; its log says why")
    kinds = pb_utils.TritonError
    other = kinds.INVALID_ARG if error.http_status < 500 else kinds.INTERNAL
    code = {499: kinds.CANCELLED, 503: kinds.UNAVAILABLE}.get(error.http_status, other)
    return pb_utils.InferenceResponse(error=kinds(str(error), code))


def _samples(request: Any) -> list[dict[str, Any]]:
    """Splits a request along its batch axis."""
    inputs = {tensor.name(): tensor.as_numpy() for tensor in request.inputs()}
    size = len(next(iter(inputs.values())))
    return [{name: unwrapped(tensor[row]) for name, tensor in inputs.items()} for row in range(size)]


def unwrapped(value: npt.NDArray[Any]) -> Any:
    """A tensor without its batch axis; a STRING [1] is ``bytes``."""
    return value[0] if value.dtype == object else value


def _stacked(name: str, answers: list[Sample]) -> npt.NDArray[Any]:
    """One output of all samples with the batch axis put back."""
    values = [answer[name] for answer in answers]
    if isinstance(values[0], bytes):
        return np.array(values, dtype=object)[:, np.newaxis]
    if isinstance(values[0], list):
        return np.array(values, dtype=object)
    if len({value.shape for value in values}) > 1:
        raise InvalidImage(name, "the samples of one request differ in size", "samples of one size, or a request each")
    return values[0][np.newaxis] if len(values) == 1 else np.stack(values)
