"""One question and its stream of answers, as KServe's ``ModelStreamInfer`` carries them.

tritonclient's blocking stream never tells that it ended without an answer, is one at a time for each client, and
delivers in a thread of its own; its asyncio stream cannot ask for the final response. So the stub is used as it is.
"""

import struct
from typing import Any

import tritonclient.grpc as triton  # type: ignore[import-untyped]
from tritonclient.grpc import service_pb2

from concord_client.errors import error_from_answer
from concord_client.pipelines import Answer, Question, Value
from concord_client.tensors import datatype, read_answer

_ASK_FOR_FINAL = "triton_enable_empty_final_response"
_FINAL = "triton_final_response"


def stream_request(question: Question) -> Any:
    """The ``ModelInferRequest`` of a question; it asks for a last response even where that is empty."""
    request = service_pb2.ModelInferRequest(model_name=question.model)
    request.parameters[_ASK_FOR_FINAL].bool_param = True
    for name, value in question.inputs.items():
        request.inputs.add(name=name, datatype=datatype(value), shape=[1, 1])
        request.raw_input_contents.append(_raw(value))
    for name in question.outputs:
        request.outputs.add(name=name)
    return request


def read_response(question: Question, response: Any, timeout: float) -> tuple[Answer, bool]:
    """The tensors of a ``ModelStreamInferResponse``, and whether it is the last.

    Raises:
        ConcordClientError: it is an error.
    """
    if response.error_message:
        # There is no status, only words. Triton has a mode that ends the stream with one (``triton_grpc_error``), but
        # 2.51 crashes in it now and then.
        raise error_from_answer("", response.error_message, model=question.model, timeout=timeout)
    answered = response.infer_response
    return read_answer(question, triton.InferResult(answered)), bool(answered.parameters[_FINAL].bool_param)


def _raw(value: Value) -> bytes:
    return struct.pack("<I", len(value)) + value if isinstance(value, bytes) else value.tobytes()
