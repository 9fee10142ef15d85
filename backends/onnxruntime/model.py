"""A Python-based Triton backend that answers ``backend: "onnxruntime"`` where the C++ backend is missing."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import onnxruntime as ort
from numpy.typing import NDArray

from concord.network_model import NetworkModel, Tensors
from concord.session import provider, run_options, session_options


class TritonPythonModel(NetworkModel):
    """One network in one ONNX Runtime session."""

    def load(self, network: Path, config: Mapping[str, Any], kind: str) -> tuple[Sequence[str], Sequence[str]]:
        """The session, with the parameters that the C++ backend reads."""
        self._run_options = run_options(config)
        self._session = ort.InferenceSession(network, session_options(config), providers=[provider(kind)])
        inputs, outputs = self._session.get_inputs(), self._session.get_outputs()
        return [tensor.name for tensor in inputs], [tensor.name for tensor in outputs]

    def run(self, feeds: Tensors, names: Sequence[str]) -> Sequence[NDArray[Any]]:
        """One run of the session."""
        answers: list[NDArray[Any]] = self._session.run(names, feeds, self._run_options)
        return answers
