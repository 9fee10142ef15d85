"""KServe's gRPC messages: what is sent for an inference, and what an answer holds."""

import struct
from typing import Any

import tritonclient.grpc as triton  # type: ignore[import-untyped]
from tritonclient.grpc import service_pb2

from concord_client.errors import error_from_answer
from concord_client.inference import Inference
from concord_client.settings import Scalar
from concord_client.tasks.fields import Tensors
from concord_client.tensors import datatype, read_tensors

_ASK_FOR_FINAL = "triton_enable_empty_final_response"
_FINAL = "triton_final_response"


def infer_request(inference: Inference) -> Any:
    """The ``ModelInferRequest`` of an inference."""
    request = service_pb2.ModelInferRequest(model_name=inference.model)
    for name, value in inference.inputs.items():
        request.inputs.add(name=name, datatype=datatype(value), shape=[1, 1])
        request.raw_input_contents.append(_raw(value))
    for name in inference.outputs:
        request.outputs.add(name=name)
    return request


def stream_request(inference: Inference) -> Any:
    """The same for a stream; it asks for a last response even where that is empty."""
    request = infer_request(inference)
    request.parameters[_ASK_FOR_FINAL].bool_param = True
    return request


def read_response(inference: Inference, response: Any) -> Tensors:
    """The tensors of a ``ModelInferResponse``."""
    return read_tensors(inference, triton.InferResult(response))


def read_streamed(inference: Inference, response: Any, timeout: float) -> tuple[Tensors, bool]:
    """The tensors of a ``ModelStreamInferResponse``, and whether it is the last.

    Raises:
        ConcordClientError: it is an error.
    """
    if response.error_message:
        # There is no status, only words. Triton has a mode that ends the stream with one (``triton_grpc_error``), but
        # 2.51 crashes in it now and then.
        raise error_from_answer("", response.error_message, model=inference.model, timeout=timeout)
    answered = response.infer_response
    return read_response(inference, answered), bool(answered.parameters[_FINAL].bool_param)


def _raw(value: Scalar) -> bytes:
    return struct.pack("<I", len(value)) + value if isinstance(value, bytes) else value.tobytes()
