"""OpenVINO behind the names of the networks: other profiles, the same answers."""

import shutil
from pathlib import Path

import numpy as np
import pytest

from concord.model_config import InvalidParameter
from concord.openvino_properties import properties
from concord.scenes.scene import make_scene
from concord.server.embedded import EmbeddedServer, Ports
from concord.server.installation import MODEL_REPOSITORIES
from export.onnx_file import session
from tests.serving.asking import ask
from tests.serving.test_session import config

HT = MODEL_REPOSITORIES[0] / "ht"


def composites(count: int) -> dict[str, np.ndarray]:
    scenes = [make_scene(seed) for seed in range(count)]
    return {
        "COMPOSITE": np.stack([scene.composite for scene in scenes]),
        "COMPOSITE_MASK": np.stack([(scene.mask > 0).astype(np.uint8) for scene in scenes]),
    }


@pytest.mark.parametrize(("profile", "tolerance"), [("openvino", 1e-4), ("bf16", 0.05)])
def test_a_network_gives_the_same_answers(tmp_path: Path, profile: str, tolerance: float) -> None:
    shutil.copytree(HT, tmp_path / "ht")
    with EmbeddedServer([tmp_path], ports=Ports(0, 0, 0), model_config_name=profile) as server:
        answer = ask(server, "ht", composites(2))["SMALL_RESULT"]
    [wanted] = session(HT / "1" / "model.onnx").run(None, composites(2))
    assert 0 < np.abs(answer - wanted).max() < tolerance


def test_parameters_of_the_cpp_backend_become_properties() -> None:
    given = properties(config(INFERENCE_NUM_THREADS="3", NUM_STREAMS="2", HINT_BF16="YES"))
    assert (given["INFERENCE_NUM_THREADS"], given["NUM_STREAMS"]) == (3, 2)
    assert given["INFERENCE_PRECISION_HINT"] == "bf16"


def test_without_parameters_fp32_is_computed_in_fp32() -> None:
    assert properties({})["INFERENCE_PRECISION_HINT"] == "f32"


@pytest.mark.parametrize(
    "parameters", [{"INFERENCE_NUM_THREADS": "0"}, {"NUM_STREAMS": "many"}, {"HINT_BF16": "true"}], ids=str
)
def test_a_parameter_that_cannot_be_used_is_refused_by_name(parameters: dict[str, str]) -> None:
    [(name, value)] = parameters.items()
    with pytest.raises(InvalidParameter, match=f"{name}: is '{value}'"):
        properties(config(**parameters))
