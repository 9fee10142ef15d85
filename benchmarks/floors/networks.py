"""The floor: the same networks in this process, in ONNX Runtime and in PyTorch, without a server."""

from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from onnxruntime import InferenceSession
from torch import Tensor, nn

from export.network import Network
from export.onnx_file import session

Feeds = Mapping[str, NDArray[np.generic]]


def onnx_runtime(path: Path, model: Network, threads: int) -> Callable[[], object]:
    """A call that runs the ONNX file once at batch 1."""
    return running(session(path, threads), sample(model))


def running(network: InferenceSession, feeds: Feeds) -> Callable[[], object]:
    """A call that runs a session once, with those of the feeds that are its inputs."""
    inputs = {tensor.name: feeds[tensor.name] for tensor in network.get_inputs()}
    return lambda: network.run(None, inputs)


def sample(model: Network) -> Feeds:
    """Inputs of batch 1."""
    return model.feeds(next(model.samples()))


def eager(network: nn.Module, model: Network, threads: int) -> Callable[[], object]:
    """A call that runs the torch network once at batch 1."""
    torch.set_num_threads(threads)
    inputs = next(model.samples())

    def run() -> Tensor:
        with torch.inference_mode():
            answer: Tensor = network(*inputs)
            return answer

    return run
