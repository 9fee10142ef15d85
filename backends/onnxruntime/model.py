"""A Python-based Triton backend that answers ``backend: "onnxruntime"`` where the C++ backend of that name is missing.

It does what the C++ backend does with the requests that the dynamic batcher merged: joins them along the batch axis,
runs the network once and splits the outputs.
"""

import json
import os
from contextlib import suppress
from pathlib import Path

import numpy as np
import onnxruntime as ort
import triton_python_backend_utils as pb_utils

from concord.adapter import canary_response, internal_error_response
from concord.canary import is_canary
from concord.session import run_options, session_options


class TritonPythonModel:
    """One network in one ONNX Runtime session."""

    def initialize(self, args):
        """Loads the network; a bad parameter or a missing file is named in the error."""
        # For the session's threads too: one that wakes does not push another network's off its core.
        with suppress(OSError):
            os.sched_setscheduler(0, os.SCHED_BATCH, os.sched_param(0))
        config = json.loads(args["model_config"])
        self._name = args["model_name"]
        self._batched = config["max_batch_size"] > 0
        self._inputs = [tensor["name"] for tensor in config["input"]]
        self._run_options = run_options(config)
        version = Path(args["model_repository"], args["model_version"])
        network = version / (config["default_model_filename"] or "model.onnx")
        if not network.is_file():
            raise FileNotFoundError(f"no {network.name} in {version}: the network has not been exported")
        provider = "CUDAExecutionProvider" if args["model_instance_kind"] == "GPU" else "CPUExecutionProvider"
        if provider not in ort.get_available_providers():
            raise RuntimeError(f"the installed onnxruntime has no {provider}; use a profile with KIND_CPU")
        self._session = ort.InferenceSession(network, session_options(config), providers=[provider])
        _compare("input", self._inputs, self._session.get_inputs())
        _compare("output", [tensor["name"] for tensor in config["output"]], self._session.get_outputs())

    def execute(self, requests):
        """Answers merged requests with one run; if that fails, each by itself, so that a bad one fails alone."""
        responses = {
            position: canary_response() for position, request in enumerate(requests) if is_canary(request.parameters())
        }
        waiting = [(position, request) for position, request in enumerate(requests) if position not in responses]
        if self._batched and len(waiting) > 1:
            try:
                answers = self._run([request for _, request in waiting])
                responses.update(zip((position for position, _ in waiting), answers, strict=True))
                waiting = []
            except Exception as error:
                pb_utils.Logger.log_warn(f"{self._name}: {len(waiting)} merged requests failed, trying each: {error}")
        for position, request in waiting:
            try:
                [responses[position]] = self._run([request])
            except Exception as error:
                responses[position] = internal_error_response(self._name, error)
        return [responses[position] for position in range(len(requests))]

    def _run(self, requests):
        feeds = [
            {name: pb_utils.get_input_tensor_by_name(request, name).as_numpy() for name in self._inputs}
            for request in requests
        ]
        names = list(dict.fromkeys(name for request in requests for name in request.requested_output_names()))
        outputs = dict(zip(names, self._session.run(names, _joined(feeds), self._run_options), strict=True))
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


def _joined(feeds):
    """One feed from several, along the batch axis."""
    if len(feeds) == 1:
        return feeds[0]
    return {name: np.concatenate([feed[name] for feed in feeds]) for name in feeds[0]}


def _compare(kind, configured, present):
    present = [tensor.name for tensor in present]
    if sorted(configured) != sorted(present):
        raise ValueError(f"config.pbtxt has the {kind}s {sorted(configured)}, the network has {sorted(present)}")
