"""A model repository whose `harmonize` answers at once with what it was sent."""

from pathlib import Path

INSTANCES = 1
LARGEST_BATCH = 32

_MODEL = """import triton_python_backend_utils as pb_utils


class TritonPythonModel:
    def execute(self, requests):
        return [self.answer(request) for request in requests]

    def answer(self, request):
        image = pb_utils.get_input_tensor_by_name(request, "IMAGE").as_numpy()
        return pb_utils.InferenceResponse([pb_utils.Tensor("HARMONIZED", image)])
"""


def write_instant(repository: Path) -> None:
    """Writes `harmonize` as an identity of IMAGE into a folder for models."""
    version = repository / "harmonize" / "1"
    version.mkdir(parents=True)
    (version / "model.py").write_text(_MODEL)
    (repository / "harmonize" / "config.pbtxt").write_text(
        f"""name: "harmonize"
backend: "python"
max_batch_size: {LARGEST_BATCH}
input [
  {{ name: "IMAGE" data_type: TYPE_STRING dims: [ 1 ] }},
  {{ name: "MASK" data_type: TYPE_STRING dims: [ 1 ] }}
]
output [ {{ name: "HARMONIZED" data_type: TYPE_STRING dims: [ 1 ] }} ]
instance_group [ {{ count: {INSTANCES} kind: KIND_CPU }} ]
dynamic_batching {{ }}
"""
    )
