"""A model repository whose harmonizer returns its input, at once or after a delay."""

from pathlib import Path

from concord_client import Harmonize

_MODEL = """import time

import triton_python_backend_utils as pb_utils


class TritonPythonModel:
    def execute(self, requests):
        time.sleep(SECONDS)
        return [self.answer(request) for request in requests]

    def answer(self, request):
        image = pb_utils.get_input_tensor_by_name(request, "IMAGE").as_numpy()
        return pb_utils.InferenceResponse([pb_utils.Tensor("HARMONIZED", image)])
"""


def write_instant(repository: Path, name: str = "instant", seconds: float = 0) -> None:
    """Writes a model that returns IMAGE into a folder of models; each run of a batch sleeps for the given time."""
    version = repository / name / "1"
    version.mkdir(parents=True)
    (version / "model.py").write_text(_MODEL.replace("SECONDS", repr(seconds)))
    (repository / name / "config.pbtxt").write_text(
        f"""name: "{name}"
backend: "python"
max_batch_size: 32
input [
  {{ name: "IMAGE" data_type: TYPE_STRING dims: [ 1 ] }},
  {{ name: "MASK" data_type: TYPE_STRING dims: [ 1 ] }}
]
output [ {{ name: "HARMONIZED" data_type: TYPE_STRING dims: [ 1 ] }} ]
parameters {{ key: "task" value {{ string_value: "{Harmonize.TASK}" }} }}
parameters {{ key: "model" value {{ string_value: "{name}" }} }}
instance_group [ {{ count: 1 kind: KIND_CPU }} ]
dynamic_batching {{ }}
"""
    )
