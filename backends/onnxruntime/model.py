"""A Python-based Triton backend that answers ``backend: "onnxruntime"`` where the C++ backend is missing."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from concord.heap import take_small_pages
from concord.network_model import Names, NetworkModel, Tensors
from concord.session import gives_memory_back, run_options, session


class TritonPythonModel(NetworkModel):
    """One network in one ONNX Runtime session."""

    def load(self, network: Path, config: Mapping[str, Any], kind: str, device: int) -> Names:
        """The session, with the parameters that the C++ backend reads."""
        if gives_memory_back(config):
            take_small_pages()
        self._run_options = run_options(config)
        self._session = session(network, config, kind, device)
        inputs, outputs = self._session.get_inputs(), self._session.get_outputs()
        return [tensor.name for tensor in inputs], [tensor.name for tensor in outputs]

    def run(self, feeds: Tensors, names: Sequence[str]) -> Sequence[NDArray[Any]]:
        """One run of the session."""
        answers: list[NDArray[Any]] = self._session.run(names, feeds, self._run_options)
        return answers
