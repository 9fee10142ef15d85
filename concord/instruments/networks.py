"""Single networks of a running server, asked one sample at a time."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray
from tritonclient.grpc import InferenceServerClient, InferInput  # type: ignore[import-untyped]
from tritonclient.utils import np_to_triton_dtype  # type: ignore[import-untyped]


def run_network(client: InferenceServerClient, model: str, inputs: Mapping[str, Any], output: str) -> NDArray[Any]:
    """One output of a network; inputs and output have no batch axis."""
    tensors = request_tensors({name: np.ascontiguousarray(value)[np.newaxis] for name, value in inputs.items()})
    sample: NDArray[Any] = client.infer(model, tensors).as_numpy(output)[0]
    return sample


def request_tensors(batches: Mapping[str, NDArray[Any]]) -> list[InferInput]:
    """Inputs of a gRPC request from arrays with a batch axis."""
    return [
        InferInput(name, batch.shape, np_to_triton_dtype(batch.dtype)).set_data_from_numpy(batch)
        for name, batch in batches.items()
    ]


def as_pixels(picture: NDArray[np.float32]) -> NDArray[np.uint8]:
    """A picture, FP32 [H, W, 3] of 0..1 (clipped), as uint8."""
    return (np.clip(picture, 0, 1) * 255).round().astype(np.uint8)
