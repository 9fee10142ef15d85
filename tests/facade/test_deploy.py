"""What can be said of the containers without starting them."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from concord.server.declared import unexported
from concord.server.installation import MODEL_REPOSITORIES
from deploy.triton import command
from facade.settings import rows
from tests.images import copied, copy

DEPLOY = Path(__file__).parents[2] / "deploy"


@pytest.mark.parametrize("name", ["compose.yaml", "compose.gpu.yaml", "Dockerfile.facade", "Dockerfile.triton"])
def test_every_variable_is_a_setting(name):
    assert set(re.findall(r"CONCORD_[A-Z_]+", (DEPLOY / name).read_text())) <= {row.variable for row in rows()}


def test_the_services_are_built_from_the_dockerfiles_here():
    services = yaml.safe_load((DEPLOY / "compose.yaml").read_text())["services"]
    built = {
        (DEPLOY / service["build"]["context"] / service["build"]["dockerfile"]).resolve()
        for service in services.values()
    }
    assert built == {DEPLOY / "Dockerfile.facade", DEPLOY / "Dockerfile.triton"}


def test_the_triton_image_starts_a_server_on_what_is_copied_into_it(tmp_path):
    """The facade's image is built of a wheel: see tests/serving/test_wheel.py."""
    image, programs = tmp_path / "image", tmp_path / "programs"
    image.mkdir()
    programs.mkdir()
    for name in copied(DEPLOY / "Dockerfile.triton"):
        copy(name, image)
    (programs / "tritonserver").write_text('#!/bin/sh\nprintf "%s\\n" "$@"\nenv >&2\numask >&2\n')
    (programs / "tritonserver").chmod(0o755)
    secret = {"AIP_MODE": "PREDICTION", "CONCORD_API_KEYS": "secret"}
    environment = os.environ | secret | {"PYTHONPATH": str(image), "PATH": f"{programs}:{os.environ['PATH']}"}
    command = [sys.executable, image / "triton.py", "--log-verbose=1"]
    ran = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True)
    assert ran.returncode == 0, ran.stderr
    assert "PYTHONPATH=" in ran.stderr and "AIP_MODE" not in ran.stderr and "secret" not in ran.stderr
    assert ran.stderr.rstrip().endswith("077")
    words = ran.stdout.splitlines()
    served = [Path(word.partition("=")[2]) for word in words if word.startswith("--model-repository=")]
    versions = [version.resolve() for folder in served for version in folder.glob("*/1")]
    assert versions and all(version.is_relative_to(image) for version in versions)


def test_triton_is_given_what_the_embedded_server_would_serve(tmp_path):
    words = command("cuda", ["--log-verbose=1"], tmp_path)
    assert words[0] == "tritonserver" and words[-1] == "--log-verbose=1"
    shown = [Path(word.partition("=")[2]) for word in words if word.startswith("--model-repository=")]
    served = {folder.name: folder for view in shown for folder in view.iterdir()}
    every = {folder.name for repository in MODEL_REPOSITORIES for folder in repository.iterdir() if folder.is_dir()}
    assert served.keys() == every - unexported(MODEL_REPOSITORIES)
    assert 'string_value: "cuda"' in (served["ht"] / "config.pbtxt").read_text()
    assert {"--http-address=127.0.0.1", "--allow-sagemaker=false", "--allow-vertex-ai=false"} <= set(words)
    assert any(
        word.startswith("--grpc-restricted-protocol=model-repository,shared-memory,trace,logging:") for word in words
    )


@pytest.mark.parametrize("name", ["Dockerfile.facade", "Dockerfile.triton"])
def test_no_container_runs_as_root(name):
    users = re.findall(r"^USER (\S+)$", (DEPLOY / name).read_text(), re.MULTILINE)
    assert users and users[-1] not in ("root", "0")


def test_every_container_has_limits_and_no_rights():
    for service in yaml.safe_load((DEPLOY / "compose.yaml").read_text())["services"].values():
        assert service["mem_limit"] and service["pids_limit"] and service["logging"]["options"]["max-size"]
        assert service["cap_drop"] == ["ALL"] and service["security_opt"] == ["no-new-privileges:true"]
