"""A question as tritonclient's arguments, and its result as an answer; the same for gRPC and HTTP."""

from types import ModuleType
from typing import Any

import numpy as np

from concord_client.pipelines import Answer, Question


def infer_arguments(question: Question, protocol: ModuleType) -> dict[str, Any]:
    """What tritonclient's ``infer`` takes.

    Args:
        question: what is asked.
        protocol: ``tritonclient.grpc`` or ``tritonclient.http``, each of which has its own classes for tensors.
    """
    return {
        "model_name": question.model,
        "inputs": [
            protocol.InferInput(name, [1, 1], "BYTES").set_data_from_numpy(np.array([[value]], dtype=np.object_))
            for name, value in question.inputs.items()
        ],
        "outputs": [protocol.InferRequestedOutput(name) for name in question.outputs],
    }


def read_answer(question: Question, infer_result: Any) -> Answer:
    """The tensors that were asked for and came back."""
    tensors = {name: infer_result.as_numpy(name) for name in question.outputs}
    return {name: tensor for name, tensor in tensors.items() if tensor is not None}
