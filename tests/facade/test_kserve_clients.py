"""Other people's clients of KServe v2 at the facade: Triton's, and KServe's own."""

import base64
import json
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import tritonclient.http as triton
from tritonclient.utils import InferenceServerException

from facade.settings import Settings
from tests.facade.asking_kserve import TEXT
from tests.facade.running import PATIENCE, Facade, running
from tests.serving.pictures import decoded

ROOT = Path(__file__).parents[2]
SDK = Path(__file__).with_name("kserve_sdk.py")
# It wants older packages than ours: an environment of its own.
PYTHON = ROOT / ".venv-kserve" / "bin" / "python"
PIPELINE = "segment_harmonize_ht"
KEY = "concord-key-of-ann"


def client(facade: Facade) -> triton.InferenceServerClient:
    return triton.InferenceServerClient(f"{facade.host}:{facade.port}", network_timeout=PATIENCE)


@pytest.fixture
def opened(facade) -> Iterator[triton.InferenceServerClient]:
    made = client(facade)
    yield made
    made.close()


def tensor(name: str, value: bytes | str, *, binary: bool = True) -> triton.InferInput:
    made = triton.InferInput(name, [1, 1], "BYTES")
    return made.set_data_from_numpy(np.array([[value]], dtype=np.object_), binary_data=binary)


def test_triton_s_client_is_told_of_the_server_and_its_pipelines(opened, facade):
    facade.wait_until(lambda: facade.app.state.readiness.ready)
    assert opened.is_server_live() and opened.is_server_ready() and opened.is_model_ready(PIPELINE, "1")
    assert not opened.is_model_ready("nothing")
    assert opened.get_server_metadata()["name"] == "concord"
    inputs = opened.get_model_metadata(PIPELINE)["inputs"]
    assert inputs[0] == {"name": "IMAGE", "datatype": "BYTES", "shape": [1, 1]}


@pytest.mark.parametrize("binary", [False, True])
def test_triton_s_client_is_answered_as_v1_answers(opened, http, image, binary):
    given = image if binary else base64.b64encode(image).decode()
    inputs = [tensor("IMAGE", given, binary=binary), tensor("TEXT", TEXT, binary=binary)]
    wanted = [triton.InferRequestedOutput(name, binary_data=binary) for name in ("HARMONIZED", "SCORE")]
    answer = opened.infer(PIPELINE, inputs, outputs=wanted, request_id="42", timeout=60_000_000)
    picture = answer.as_numpy("HARMONIZED").item()
    ours = http.post("/v1/harmonize", files={"image": image}, data={"text": TEXT}).content
    np.testing.assert_array_equal(decoded(picture if binary else base64.b64decode(picture)), decoded(ours))
    assert answer.as_numpy("SCORE").shape == (1, 1) and answer.as_numpy("MASK") is None
    assert answer.get_response()["id"] == "42"


def test_triton_s_client_asks_for_everything_in_bytes(opened, image):
    answer = opened.infer(PIPELINE, [tensor("IMAGE", image), tensor("TEXT", TEXT)])
    assert decoded(answer.as_numpy("HARMONIZED").item()).shape == decoded(image).shape
    assert answer.as_numpy("TRUNCATED").item() is False


def test_triton_s_client_shows_what_was_wrong(opened, image):
    with pytest.raises(InferenceServerException) as refused:
        opened.infer(PIPELINE, [tensor("IMAGE", image)])
    assert (refused.value.status(), refused.value.message()) == (
        "400",
        "[missing_field] TEXT: it is missing; allowed: IMAGE, TEXT, EDGES, STRENGTH, OUTPUT",
    )


def test_triton_s_client_sends_a_key(server, image):
    with running(Settings(triton_url=server.grpc_url, page=False, api_keys=KEY)) as facade:
        made = client(facade)
        with pytest.raises(InferenceServerException, match="unauthorized"):
            made.get_model_metadata(PIPELINE)
        assert made.get_model_metadata(PIPELINE, headers={"Authorization": f"Bearer {KEY}"})["name"] == PIPELINE
        made.close()


@pytest.mark.skipif(not PYTHON.exists(), reason="KServe's package is not installed: make .venv-kserve/installed")
def test_kserve_s_own_package_works_over_rest_and_beside_triton_over_grpc(facade, server, http, image, tmp_path):
    facade.wait_until(lambda: facade.app.state.readiness.ready)
    (tmp_path / "photo.png").write_bytes(image)
    command = [PYTHON, SDK, facade.url, server.grpc_url, tmp_path / "photo.png"]
    alone = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    finished = subprocess.run(command, capture_output=True, text=True, env=alone, timeout=4 * PATIENCE)
    assert finished.returncode == 0, finished.stderr
    told = json.loads(finished.stdout.splitlines()[-1])
    over_rest, ours = told["rest"], http.post("/v1/harmonize", files={"image": image}, data={"text": TEXT}).content
    assert over_rest["live"] is over_rest["ready"] is over_rest["model_ready"] is True
    assert over_rest["no_model_ready"] is False
    for way in ("json", "binary"):
        answer = over_rest[way]
        np.testing.assert_array_equal(decoded(base64.b64decode(answer["HARMONIZED"])), decoded(ours))
        assert answer["id"] == "42" and 0 <= answer["SCORE"] <= 1 and answer["TRUNCATED"] is False
    assert "[missing_field] TEXT: it is missing; allowed: IMAGE, TEXT, EDGES, STRENGTH, OUTPUT" in over_rest["refusal"]
    assert told["grpc"]["ready"] is True
    np.testing.assert_array_equal(decoded(base64.b64decode(told["grpc"]["picture"])), decoded(ours))
