"""The floor: the same networks in this process, in ONNX Runtime and in PyTorch, without a server."""

from collections.abc import Callable
from pathlib import Path

import torch
from torch import Tensor, nn

from export.onnx_file import session
from export.served_model import ServedModel


def onnx_runtime(path: Path, model: ServedModel, threads: int) -> Callable[[], object]:
    """A call that runs the ONNX file once at batch 1."""
    onnx_session = session(path, threads)
    inputs = next(model.samples())
    feeds = {name: value.numpy() for name, value in zip(model.inputs, inputs, strict=True)}
    return lambda: onnx_session.run([model.output], feeds)


def eager(network: nn.Module, model: ServedModel, threads: int) -> Callable[[], object]:
    """A call that runs the torch network once at batch 1."""
    torch.set_num_threads(threads)
    inputs = next(model.samples())

    def run() -> Tensor:
        with torch.inference_mode():
            answer: Tensor = network(*inputs)
            return answer

    return run
