"""What the Python-based backends share: a model that is one network in one inference engine.

It does what Triton's C++ backends do with the requests that the dynamic batcher merged: joins them along the batch
axis, runs the network once and splits the outputs.
"""

import json
import os
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import triton_python_backend_utils as pb_utils  # part of the server: importable inside its stubs only

from concord.adapter import canary_response, error_response
from concord.canary import is_canary
from concord.model_config import UNLESS_EMPTY, parameters

Tensors = Mapping[str, npt.NDArray[Any]]
Names = tuple[Sequence[str], Sequence[str]]


class NetworkModel:
    """Base of a backend's ``TritonPythonModel``; a subclass loads the network and runs it."""

    default_filename = "model.onnx"

    def initialize(self, args: Mapping[str, str]) -> None:
        """Triton's entry point: loads the network; a bad parameter or a missing file is named in the error."""
        # For the engine's threads too: one that wakes does not push another network's off its core.
        with suppress(OSError):
            os.sched_setscheduler(0, os.SCHED_BATCH, os.sched_param(0))
        config = json.loads(args["model_config"])
        self._name = args["model_name"]
        self._batched = config["max_batch_size"] > 0
        self._inputs = [tensor["name"] for tensor in config["input"]]
        self._unless_empty = parameters(config).get(UNLESS_EMPTY)
        self._shapes = {tensor["name"]: list(map(int, tensor["dims"])) for tensor in config["output"]}
        version = Path(args["model_repository"], args["model_version"])
        network = version / (config["default_model_filename"] or self.default_filename)
        if not network.is_file():
            raise FileNotFoundError(f"no {network.name} in {version}: the network has not been exported")
        inputs, outputs = self.load(network, config, args["model_instance_kind"], int(args["model_instance_device_id"]))
        _compare("input", self._inputs, inputs)
        _compare("output", [tensor["name"] for tensor in config["output"]], outputs)

    def load(self, network: Path, config: Mapping[str, Any], kind: str, device: int) -> Names:
        """Loads the network's file, and gives the names of its inputs and outputs.

        Args:
            kind: of the instance, "CPU" or "GPU".
            device: number of the GPU.
        """
        raise NotImplementedError

    def run(self, feeds: Tensors, names: Sequence[str]) -> Sequence[npt.NDArray[Any]]:
        """The named outputs for inputs by name, all with a batch axis."""
        raise NotImplementedError

    def execute(self, requests: Sequence[Any]) -> list[Any]:
        """Answers merged requests with one run; if that fails, each by itself, so that a bad one fails alone."""
        responses = {
            position: canary_response() for position, request in enumerate(requests) if is_canary(request.parameters())
        }
        waiting = [(position, request) for position, request in enumerate(requests) if position not in responses]
        if self._batched and len(waiting) > 1:
            try:
                answers = self._answers([request for _, request in waiting])
                responses.update(zip((position for position, _ in waiting), answers, strict=True))
                waiting = []
            except Exception as error:
                pb_utils.Logger.log_warn(f"{self._name}: {len(waiting)} merged requests failed, trying each: {error}")
        for position, request in waiting:
            try:
                [responses[position]] = self._answers([request])
            except Exception as error:
                responses[position] = error_response(self._name, error)
        return [responses[position] for position in range(len(requests))]

    def _answers(self, requests: Sequence[Any]) -> list[Any]:
        feeds = [
            {name: pb_utils.get_input_tensor_by_name(request, name).as_numpy() for name in self._inputs}
            for request in requests
        ]
        names = list(dict.fromkeys(name for request in requests for name in request.requested_output_names()))
        outputs = dict(zip(names, self._run_unless_empty(_joined(feeds), names), strict=True))
        responses = []
        start = 0
        for request, feed in zip(requests, feeds, strict=True):
            rows = slice(None)
            if self._batched:
                rows = slice(start, start + len(feed[self._inputs[0]]))
                start = rows.stop
            tensors = [pb_utils.Tensor(name, outputs[name][rows]) for name in request.requested_output_names()]
            responses.append(pb_utils.InferenceResponse(tensors))
        return responses

    def _run_unless_empty(self, feeds: Tensors, names: Sequence[str]) -> Sequence[npt.NDArray[Any]]:
        """Runs the network on the samples that are not empty; the others are answered with FP32 zeros."""
        if self._unless_empty is None:
            return self.run(feeds, names)
        told = feeds[self._unless_empty]
        asked = told.reshape(len(told), -1).any(axis=1)
        if asked.all():
            return self.run(feeds, names)
        answers = [np.zeros((len(told), *self._shapes[name]), np.float32) for name in names]
        if asked.any():
            ran = self.run({name: value[asked] for name, value in feeds.items()}, names)
            for answer, rows in zip(answers, ran, strict=True):
                answer[asked] = rows
        return answers


def _joined(feeds: Sequence[Tensors]) -> Tensors:
    """One feed from several, along the batch axis."""
    if len(feeds) == 1:
        return feeds[0]
    return {name: np.concatenate([feed[name] for feed in feeds]) for name in feeds[0]}


def _compare(kind: str, configured: Sequence[str], present: Sequence[str]) -> None:
    if sorted(configured) != sorted(present):
        raise ValueError(f"config.pbtxt has the {kind}s {sorted(configured)}, the network has {sorted(present)}")
