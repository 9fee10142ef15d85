"""A Python-based Triton backend that answers ``backend: "onnxruntime"`` where the C++ backend is missing."""

import onnxruntime as ort

from concord.network_model import NetworkModel
from concord.session import run_options, session_options


class TritonPythonModel(NetworkModel):
    """One network in one ONNX Runtime session."""

    def load(self, network, config, kind):
        """The session, with the parameters that the C++ backend reads."""
        self._run_options = run_options(config)
        provider = "CUDAExecutionProvider" if kind == "GPU" else "CPUExecutionProvider"
        if provider not in ort.get_available_providers():
            raise RuntimeError(f"the installed onnxruntime has no {provider}; use a profile with KIND_CPU")
        self._session = ort.InferenceSession(network, session_options(config), providers=[provider])
        return tuple(
            [tensor.name for tensor in tensors] for tensors in (self._session.get_inputs(), self._session.get_outputs())
        )

    def run(self, feeds, names):
        """One run of the session."""
        return self._session.run(names, feeds, self._run_options)
