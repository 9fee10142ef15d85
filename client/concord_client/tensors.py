"""A question as tritonclient's arguments, and its result as an answer; the same for gRPC and HTTP."""

from types import ModuleType
from typing import Any

import numpy as np
from numpy.typing import NDArray
from tritonclient.utils import np_to_triton_dtype  # type: ignore[import-untyped]

from concord_client.pipelines import Answer, Question, Value


def infer_arguments(question: Question, protocol: ModuleType) -> dict[str, Any]:
    """What tritonclient's ``infer`` takes.

    Args:
        question: what is asked.
        protocol: ``tritonclient.grpc`` or ``tritonclient.http``, each of which has its own classes for tensors.
    """
    return {
        "model_name": question.model,
        "inputs": [
            protocol.InferInput(name, [1, 1], datatype(value)).set_data_from_numpy(_tensor(value))
            for name, value in question.inputs.items()
        ],
        "outputs": [protocol.InferRequestedOutput(name) for name in question.outputs],
    }


def datatype(value: Value) -> str:
    """KServe's name for the type of an input (``BYTES``, ``INT32``, ``INT64``, ``FP32``, ``BOOL``)."""
    return str(np_to_triton_dtype(_tensor(value).dtype))


def read_answer(question: Question, infer_result: Any) -> Answer:
    """The tensors that were asked for and came back."""
    tensors = {name: infer_result.as_numpy(name) for name in question.outputs}
    return {name: tensor for name, tensor in tensors.items() if tensor is not None}


def _tensor(value: Value) -> NDArray[Any]:
    return np.array([[value]], dtype=np.object_ if isinstance(value, bytes) else value.dtype)
