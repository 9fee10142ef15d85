"""What can be said of the containers without starting them."""

import re
from pathlib import Path

import pytest
import yaml

from concord.server.exported import unexported
from concord.server.installation import MODEL_REPOSITORIES
from deploy.triton import command
from facade.settings import rows

DEPLOY = Path(__file__).parents[2] / "deploy"


@pytest.mark.parametrize("name", ["compose.yaml", "compose.gpu.yaml", "Dockerfile.facade", "Dockerfile.triton"])
def test_every_variable_is_a_setting(name):
    assert set(re.findall(r"CONCORD_[A-Z_]+", (DEPLOY / name).read_text())) <= {row.variable for row in rows()}


def test_every_file_that_is_built_from_exists():
    services = yaml.safe_load((DEPLOY / "compose.yaml").read_text())["services"]
    for service in services.values():
        root = DEPLOY / service["build"]["context"]
        dockerfile = root / service["build"]["dockerfile"]
        copied = re.findall(r"^COPY (.*) \S+$", dockerfile.read_text(), re.MULTILINE)
        assert copied and all((root / source).exists() for sources in copied for source in sources.split())


def test_triton_is_given_what_the_embedded_server_would_serve(tmp_path):
    words = command("cuda", ["--log-verbose=1"], tmp_path)
    assert words[0] == "tritonserver" and "--model-config-name=cuda" in words and words[-1] == "--log-verbose=1"
    shown = [Path(word.partition("=")[2]) for word in words if word.startswith("--model-repository=")]
    served = {folder.name for view in shown for folder in view.iterdir()}
    every = {folder.name for repository in MODEL_REPOSITORIES for folder in repository.iterdir() if folder.is_dir()}
    assert served == every - unexported(MODEL_REPOSITORIES, "cuda")
