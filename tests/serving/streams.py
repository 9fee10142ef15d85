"""Asks a running diffusion model through tritonclient alone, over a stream of its own."""

import queue
from collections.abc import Iterator
from contextlib import suppress
from types import TracebackType
from typing import Any, Self

import numpy as np
import tritonclient.grpc
from numpy.typing import NDArray

from concord.server.embedded import EmbeddedServer
from tests.serving.asking import tensors

_TYPES = {
    "SEED": np.int64,
    "STEPS": np.int32,
    "RESOLUTION": np.int32,
    "PREVIEW": np.bool_,
    "REFINE": np.bool_,
    "WINDOW": np.bool_,
    "BLEND": np.bool_,
    "RANK": np.bool_,
    "CANDIDATES": np.int32,
    "DILATION": np.int32,
    "GUIDANCE": np.float32,
    "RANGE": np.float32,
    "SKIP": np.float32,
    "STRENGTH": np.float32,
    "DEPTH": np.float32,
    "TIMEOUT": np.float32,
}
_PATIENCE = 60.0


def wire(inputs: dict[str, Any]) -> dict[str, bytes | NDArray]:
    """Inputs as tensors of one sample; ``bytes`` stays as it is."""
    return {
        name: value if isinstance(value, bytes) else np.array([[value]], _TYPES[name]) for name, value in inputs.items()
    }


class Stream:
    """One request to a decoupled model, and its responses as they come.

    Iterating gives each response's tensors by name, without the batch axis, and ends with the final flag; an error of
    the server is raised.
    """

    def __init__(self, server: EmbeddedServer, inputs: dict[str, Any], model: str = "diffharmony") -> None:
        self._client = tritonclient.grpc.InferenceServerClient(server.grpc_url)
        self._responses: queue.Queue = queue.Queue()
        self._client.start_stream(lambda result, error: self._responses.put((result, error)))
        self._client.async_stream_infer(model, tensors(wire(inputs)), enable_empty_final_response=True)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, _type: type[BaseException] | None, _error: BaseException | None, _traceback: TracebackType | None
    ) -> None:
        self.cancel()

    def __iter__(self) -> Iterator[dict[str, Any]]:
        final = False
        while not final:
            result, error = self._responses.get(timeout=_PATIENCE)
            if error is not None:
                raise error
            response = result.get_response()
            final = response.parameters["triton_final_response"].bool_param
            if response.outputs:
                yield {output.name: _value(result.as_numpy(output.name)) for output in response.outputs}

    def cancel(self) -> None:
        """Gives the request up, if it is not over."""
        with suppress(tritonclient.grpc.InferenceServerException):
            self._client.stop_stream(cancel_requests=True)
        self._client.close()


def _value(tensor: NDArray) -> Any:
    """Of one sample: a value, or a list of several."""
    return tensor.item() if tensor.size == 1 else tensor.ravel().tolist()


def stream(server: EmbeddedServer, inputs: dict[str, Any], model: str = "diffharmony") -> list[dict[str, Any]]:
    """Every response of one request."""
    with Stream(server, inputs, model) as responses:
        return list(responses)
