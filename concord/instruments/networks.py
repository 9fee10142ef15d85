"""Single networks: a sample of their inputs, and runs of them in a server."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray
from tritonclient.grpc import InferenceServerClient, InferInput, model_config_pb2  # type: ignore[import-untyped]
from tritonclient.utils import np_to_triton_dtype, triton_to_np_dtype  # type: ignore[import-untyped]

from concord.errors import ServerFailure
from concord.variants import Variant


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


def sample(variant: Variant, scale: int = 1) -> dict[str, NDArray[Any]]:
    """One sample of a network's inputs: black and white noise (valid as a mask, too), normal floats, zeros for tokens.

    Args:
        scale: how many times as large as in the warm-up, which has the least sizes, free sides are.

    Raises:
        ServerFailure: the configuration has no warm-up.
    """
    config = variant.settings
    if not config.model_warmup:
        raise ServerFailure(f"{variant.model}/{variant.config.name}", "it has no model_warmup to take sizes from")
    generator = np.random.default_rng(0)
    feeds: dict[str, NDArray[Any]] = {}
    for tensor in config.input:
        warm = config.model_warmup[0].inputs[tensor.name].dims
        sides = zip(tensor.dims, warm, strict=True)
        shape = [1, *(size if size > 0 else given * scale for size, given in sides)]
        name = model_config_pb2.DataType.Name(tensor.data_type).removeprefix("TYPE_")
        match name:
            case "UINT8":
                feeds[tensor.name] = generator.integers(0, 2, shape, np.uint8) * np.uint8(255)
            case "FP32":
                feeds[tensor.name] = generator.standard_normal(shape, np.float32)
            case _:
                feeds[tensor.name] = np.zeros(shape, triton_to_np_dtype(name))
    return feeds
