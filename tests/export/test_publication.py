"""New files of a model take the place of the served ones whole, or not at all."""

import json
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch

from export import onnx_file
from export.networks.latent_preview import NETWORK, ServedLatentPreview
from export.onnx_file import publish, session
from export.publication import Staged, record_of

ROOT = Path(__file__).parents[2]
KILLED = """
import os, signal, sys
from pathlib import Path
from export.publication import Staged

with Staged(Path(sys.argv[1]), "latent_preview") as staged:
    staged.model.write_bytes(b"half of a model")
    os.kill(os.getpid(), signal.SIGKILL)
"""


def preview(bias: float) -> ServedLatentPreview:
    return ServedLatentPreview(torch.full((4, 3), 0.1), torch.full((3,), bias)).eval()


def contents(repository: Path) -> dict[str, bytes]:
    return {str(path.relative_to(repository)): path.read_bytes() for path in repository.rglob("*") if path.is_file()}


def colour(repository: Path) -> np.ndarray:
    """What the served model answers to a latent of zeros."""
    model = session(repository / "latent_preview" / "1" / "model.onnx")
    return model.run(None, {"LATENT": np.zeros((1, 4, 2, 2), np.float32)})[0]


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    publish(preview(0.25), NETWORK, tmp_path, {"made": "first"})
    return tmp_path


def test_a_killed_export_leaves_what_was_served_and_the_next_one_clears_up(repository: Path) -> None:
    before = contents(repository)
    finished = subprocess.run([sys.executable, "-c", KILLED, repository], cwd=ROOT, check=False)
    assert finished.returncode == -signal.SIGKILL
    left = contents(repository)
    assert len(left) == len(before) + 1 and before.items() <= left.items()
    publish(preview(0.5), NETWORK, repository, {"made": "second"})
    assert contents(repository).keys() == before.keys()
    assert (colour(repository) == 128).all() and record_of(repository, "latent_preview")["made"] == "second"


def test_a_new_network_removes_what_was_made_of_the_old_one(repository: Path) -> None:
    folder = repository / "latent_preview" / "1"
    digest = record_of(repository, "latent_preview")["onnx_sha256"]
    made = {"model.int8.xml": digest, "model.plan": "of another"}
    for name, of in made.items():
        (folder / name).touch()
        (folder / f"{name}.json").write_text(json.dumps({"onnx_sha256": of}))
    (folder / "model.int8.bin").touch()
    publish(preview(0.25), NETWORK, repository, {"made": "again"})
    assert record_of(repository, "latent_preview")["onnx_sha256"] == digest
    kept = {"model.json", "model.onnx", "model.int8.bin", "model.int8.xml", "model.int8.xml.json"}
    assert {path.name for path in folder.iterdir()} == kept
    publish(preview(0.5), NETWORK, repository, {"made": "otherwise"})
    assert {path.name for path in folder.iterdir()} == {"model.json", "model.onnx"}


def test_the_stage_of_an_export_that_still_runs_is_not_cleared(repository: Path) -> None:
    running = repository / "latent_preview" / "1" / ".stage.1"
    running.mkdir()
    with Staged(repository, "latent_preview"):
        assert running.is_dir()


def test_large_weights_lie_beside_the_model_under_their_digest(
    repository: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(onnx_file, "INSIDE_LIMIT", 8000)
    folder = repository / "latent_preview" / "1"
    names = []
    for bias in (0.0, 1.0):
        network = torch.nn.Sequential(torch.nn.Conv2d(4, 64, 3, padding=1), torch.nn.Conv2d(64, 3, 1), Levels(bias))
        publish(network.eval(), NETWORK, repository, {})
        [weights] = folder.glob("weights-*.bin")
        names.append(weights.name)
        assert weights.stat().st_size > 8000 > (folder / "model.onnx").stat().st_size
        assert sorted(path.name for path in folder.iterdir()) == ["model.json", "model.onnx", weights.name]
        assert weights.name.encode() in (folder / "model.onnx").read_bytes()
        assert session(folder / "model.onnx").run(None, {"LATENT": np.zeros((1, 4, 2, 2), np.float32)})[0].size == 12
        onnx.checker.check_model(str(folder / "model.onnx"))
    assert names[0] != names[1]


class Levels(torch.nn.Module):
    """Maps [B,3,h,w] to what a preview answers: uint8 [B,h,w,3]."""

    def __init__(self, bias: float) -> None:
        super().__init__()
        self.bias = bias

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return ((x + self.bias).clamp(0, 1) * 255).round().to(torch.uint8).permute(0, 2, 3, 1)


def test_the_same_weights_again_stay_in_place(repository: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(onnx_file, "INSIDE_LIMIT", 8000)
    torch.manual_seed(0)
    network = torch.nn.Sequential(torch.nn.Conv2d(4, 64, 3, padding=1), torch.nn.Conv2d(64, 3, 1), Levels(0.0)).eval()
    publish(network, NETWORK, repository, {})
    before = contents(repository)
    publish(network, NETWORK, repository, {})
    assert contents(repository) == before
