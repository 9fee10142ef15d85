"""The floor: the same networks in this process, in ONNX Runtime and in PyTorch, without a server."""

from collections.abc import Callable, Mapping

import numpy as np
import torch
from numpy.typing import NDArray
from onnxruntime import InferenceSession, RunOptions
from torch import Tensor, nn

from export.judgement import Samples
from export.network import Network

Feeds = Mapping[str, NDArray[np.generic]]
Answering = Callable[[Feeds], Samples]
"""A network that is loaded."""


def running(network: InferenceSession, feeds: Feeds, options: RunOptions | None = None) -> Callable[[], object]:
    """A call that runs a session once; the session takes its own inputs from the feeds."""
    inputs = {tensor.name: feeds[tensor.name] for tensor in network.get_inputs()}
    return lambda: network.run(None, inputs, options)


def sample(model: Network) -> Feeds:
    """Inputs of batch 1."""
    return model.feeds(next(model.samples()))


def eager(network: nn.Module, model: Network, threads: int) -> Callable[[], object]:
    """A call that runs the torch network once with batch 1."""
    torch.set_num_threads(threads)
    inputs = next(model.samples())

    def run() -> Tensor:
        with torch.inference_mode():
            answer: Tensor = network(*inputs)
            return answer

    return run
