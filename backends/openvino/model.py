"""A Python-based Triton backend that answers ``backend: "openvino"`` where the C++ backend is missing."""

import openvino as ov

from concord.network_model import NetworkModel
from concord.openvino_properties import properties


class TritonPythonModel(NetworkModel):
    """One network compiled by OpenVINO for the processor."""

    default_filename = "model.xml"

    def load(self, network, config, kind):
        """The compiled network, with the parameters that the C++ backend reads."""
        if kind != "CPU":
            raise RuntimeError(f"openvino runs on processors; use KIND_CPU instead of KIND_{kind}")
        self._network = ov.Core().compile_model(network, "CPU", properties(config))
        self._request = self._network.create_infer_request()
        return tuple(
            [tensor.any_name for tensor in tensors] for tensors in (self._network.inputs, self._network.outputs)
        )

    def run(self, feeds, names):
        """One inference."""
        self._request.infer(feeds, share_inputs=True)
        return [self._request.get_tensor(name).data.copy() for name in names]
