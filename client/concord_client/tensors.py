"""An inference as tritonclient's arguments, and its result as tensors."""

from typing import Any

import numpy as np
from numpy.typing import NDArray
from tritonclient.utils import np_to_triton_dtype  # type: ignore[import-untyped]

from concord_client.inference import Inference
from concord_client.settings import Scalar
from concord_client.tasks.fields import Tensors


def datatype(value: Scalar) -> str:
    """KServe's name for the type of an input (``BYTES``, ``INT32``, ``INT64``, ``FP32``, ``BOOL``)."""
    return str(np_to_triton_dtype(tensor(value).dtype))


def tensor(value: Scalar) -> NDArray[Any]:
    """An input as it is sent: one sample of one value."""
    return np.array([[value]], dtype=np.object_ if isinstance(value, bytes) else value.dtype)


def read_tensors(inference: Inference, infer_result: Any) -> Tensors:
    """The tensors of tritonclient's result that were asked for and came back."""
    tensors = {name: infer_result.as_numpy(name) for name in inference.outputs}
    return {name: tensor for name, tensor in tensors.items() if tensor is not None}
