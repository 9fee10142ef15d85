"""A Python-based Triton backend that answers ``backend: "openvino"`` where the C++ backend is missing."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import openvino as ov
from numpy.typing import NDArray

from concord.cache import compiled
from concord.network_model import Names, NetworkModel, Tensors
from concord.openvino_properties import properties


class TritonPythonModel(NetworkModel):
    """One network compiled by OpenVINO for the processor."""

    default_filename = "model.xml"

    def load(self, network: Path, config: Mapping[str, Any], kind: str, device: int) -> Names:
        """The compiled network, with the parameters that the C++ backend reads."""
        if kind != "CPU":
            raise RuntimeError(f"openvino runs on processors; use KIND_CPU instead of KIND_{kind}")
        core = ov.Core()
        if folder := compiled(network, ov.get_version()):
            core.set_property({"CACHE_DIR": str(folder)})
        # By the path that it has at every start.
        self._network = core.compile_model(network.resolve(), "CPU", properties(config))
        self._request = self._network.create_infer_request()
        inputs, outputs = self._network.inputs, self._network.outputs
        return [tensor.any_name for tensor in inputs], [tensor.any_name for tensor in outputs]

    def run(self, feeds: Tensors, names: Sequence[str]) -> Sequence[NDArray[Any]]:
        """One inference."""
        self._request.infer(feeds, share_inputs=True)
        return [self._request.get_tensor(name).data.copy() for name in names]
