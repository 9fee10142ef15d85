"""What every Python model of Concord shares: it answers Triton's requests with a function of one sample.

Triton hands a model a list of requests, merged by its dynamic batcher; each carries a batch of samples. A model
subclasses :class:`SampleModel` and says only how one sample is answered.
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

Sample = Mapping[str, Any]


class SampleModel:
    """Base of a ``TritonPythonModel``.

    Requests that were merged are answered side by side in threads (image codecs and numpy release the interpreter), and
    all at once, so that the next model finds them together and can merge them too.
    """

    def initialize(self, args: Mapping[str, str]) -> None:
        """Triton's entry point when the model is loaded."""
        self._name = args["model_name"]
        self._threads = ThreadPoolExecutor(os.cpu_count())
        self.load()

    def load(self) -> None:
        """Prepares what :meth:`answer` needs; runs once."""

    def answer(self, sample: Sample, requested: Collection[str]) -> Sample:
        """Answers one sample.

        Args:
            sample: inputs by tensor name, without the batch axis; a STRING [1] tensor is ``bytes``.
            requested: names of the outputs that are asked for; expensive ones that are not can be left out.

        Returns:
            Outputs by tensor name, in the same form.

        Raises:
            ConcordError: sent to the client as it is. Anything else is logged; the client learns only that it happened.
        """
        raise NotImplementedError

    def execute(self, requests: list[Any]) -> list[Any]:
        """Triton's entry point for requests; one response each, in order."""
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
        except ConcordError as error:
            return error_response(error)
        except Exception as error:
            return internal_error_response(self._name, error)


def canary_response() -> Any:
    """The answer to a canary: a proof of life needs no tensors."""
    return pb_utils.InferenceResponse([])


def error_response(error: ConcordError) -> Any:
    """A response that carries a typed error to the client."""
    return pb_utils.InferenceResponse(error=pb_utils.TritonError(str(error), _triton_code(error.http_status)))


def internal_error_response(model: str, error: BaseException) -> Any:
    """A response that tells the client nothing of the server's insides; the log gets the whole of it."""
    pb_utils.Logger.log_error("".join(traceback.format_exception(error)))
    return error_response(ConcordError(model, "the server failed to answer; its log says why"))


def _triton_code(http_status: int) -> Any:
    if http_status == 499:
        return pb_utils.TritonError.CANCELLED
    if http_status == 503:
        return pb_utils.TritonError.UNAVAILABLE
    return pb_utils.TritonError.INVALID_ARG if http_status < 500 else pb_utils.TritonError.INTERNAL


def _samples(request: Any) -> list[dict[str, Any]]:
    """Splits a request along its batch axis."""
    inputs = {tensor.name(): tensor.as_numpy() for tensor in request.inputs()}
    size = len(next(iter(inputs.values())))
    return [{name: _unwrapped(tensor[row]) for name, tensor in inputs.items()} for row in range(size)]


def _unwrapped(value: npt.NDArray[Any]) -> Any:
    return value[0] if value.dtype == object else value


def _stacked(name: str, answers: list[Sample]) -> npt.NDArray[Any]:
    """One output of all samples with the batch axis put back."""
    values = [answer[name] for answer in answers]
    if isinstance(values[0], bytes):
        return np.array(values, dtype=object)[:, np.newaxis]
    if len({value.shape for value in values}) > 1:
        raise InvalidImage(name, "the samples of one request differ in size", "samples of one size, or a request each")
    return values[0][np.newaxis] if len(values) == 1 else np.stack(values)
