"""Asks a running server through tritonclient alone, as any KServe v2 client would."""

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from types import ModuleType

import numpy as np
import tritonclient.grpc
import tritonclient.http
from numpy.typing import NDArray
from tritonclient.utils import np_to_triton_dtype

from concord.server.embedded import EmbeddedServer

PROTOCOLS: dict[str, ModuleType] = {"grpc": tritonclient.grpc, "http": tritonclient.http}


def ask(
    server: EmbeddedServer, model: str, inputs: dict[str, bytes | NDArray], protocol: str = "grpc"
) -> dict[str, NDArray]:
    """Every output of one request; ``bytes`` stands for a STRING [1] tensor of one sample."""
    triton = PROTOCOLS[protocol]
    url = server.grpc_url if protocol == "grpc" else server.http_url
    with triton.InferenceServerClient(url) as client:
        result = client.infer(model, tensors(inputs, triton))
        response = result.get_response()
        outputs = response.outputs if protocol == "grpc" else response["outputs"]
        names = [output.name if protocol == "grpc" else output["name"] for output in outputs]
        return {name: result.as_numpy(name) for name in names}


def tensors(inputs: dict[str, bytes | NDArray], triton: ModuleType = tritonclient.grpc) -> list:
    """Request tensors of a protocol's own class."""
    return [_tensor(triton, name, value) for name, value in inputs.items()]


def statistics(server: EmbeddedServer) -> dict:
    """Triton's statistics by model name."""
    with tritonclient.grpc.InferenceServerClient(server.grpc_url) as client:
        return {model.name: model for model in client.get_inference_statistics().model_stats}


def _tensor(triton: ModuleType, name: str, value: bytes | NDArray):
    array = np.array([[value]], dtype=object) if isinstance(value, bytes) else value
    tensor = triton.InferInput(name, list(array.shape), np_to_triton_dtype(array.dtype))
    tensor.set_data_from_numpy(array)
    return tensor


def together(count: int, function: Callable) -> list:
    """Calls a function with 0, 1, ... in several threads at the same moment."""
    barrier = threading.Barrier(count)

    def call(position: int):
        barrier.wait()
        return function(position)

    with ThreadPoolExecutor(count) as threads:
        return list(threads.map(call, range(count)))
