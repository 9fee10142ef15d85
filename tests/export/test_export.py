"""`python -m export` replaces a model only by one that computes the same as the torch network."""

import hashlib
import json
import os
import shutil
from functools import partial
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch

from export import onnx_file
from export.__main__ import main
from export.checkpoint import CheckpointError
from export.convert import convert
from export.network import Network
from export.networks import NETWORKS, PARTS, cris, dht, ht
from export.networks.cris import ServedCris
from export.networks.harmonizer import ServedHarmonizer
from export.onnx_file import CheckFailed, publish, session
from export.pipelines import PIPELINES
from export.publication import record_of
from tests.commands import run
from tests.export import small, small_diffusion
from tests.export.once import exported

export = partial(run, main)

ROOT = Path(__file__).parents[2]


def test_a_cris_checkpoint_becomes_the_served_model(tmp_path_factory) -> None:
    repository = exported(tmp_path_factory, cris.NETWORK)
    folder, checkpoint = repository / "cris" / "1", repository.with_suffix(".safetensors")
    assert sorted(file.name for file in folder.iterdir()) == ["model.json", "model.onnx"]
    record = json.loads((folder / "model.json").read_text())
    assert record["checkpoint_sha256"] == hashlib.sha256(checkpoint.read_bytes()).hexdigest()
    assert record["onnx_sha256"] == hashlib.sha256((folder / "model.onnx").read_bytes()).hexdigest()
    assert record["config"]["vision_width"] == small.CRIS.vision_width
    assert [row["batch"] for row in record["differences"]] == [1, 2, 3]
    assert {"torch", "onnx", "onnxruntime"} <= record["tools"].keys()
    inputs = next(cris.NETWORK.samples())
    with torch.no_grad():
        expected = ServedCris(small.cris())(*inputs).numpy()
    answer = session(folder / "model.onnx").run(None, cris.NETWORK.feeds(inputs))[0]
    np.testing.assert_allclose(answer, expected, atol=1e-4)


@pytest.mark.parametrize("network", small.HARMONY_TRANSFORMERS, ids=lambda network: network.name)
def test_every_harmonizer_exports_to_the_same_signature(tmp_path_factory, network: Network) -> None:
    repository = exported(tmp_path_factory, network)
    assert record_of(repository, network.name)["model"] == network.name
    model = onnx.load(repository / network.name / "1" / "model.onnx")
    onnx.checker.check_model(model, full_check=True)
    signature = [
        (value.name, [d.dim_param or d.dim_value for d in value.type.tensor_type.shape.dim])
        for value in (*model.graph.input, *model.graph.output)
    ]
    assert signature == [
        ("COMPOSITE", ["batch", 256, 256, 3]),
        ("COMPOSITE_MASK", ["batch", 256, 256]),
        ("SMALL_RESULT", ["batch", 3, 256, 256]),
    ]


def test_a_graph_holds_no_trace_of_the_machine_it_was_made_on(tmp_path_factory) -> None:
    content = (exported(tmp_path_factory, cris.NETWORK) / "cris" / "1" / "model.onnx").read_bytes()
    assert str(ROOT).encode() not in content
    assert b"site-packages" not in content


def test_a_failed_check_leaves_the_old_model_untouched(tmp_path_factory, tmp_path: Path, monkeypatch) -> None:
    shutil.copytree(exported(tmp_path_factory, ht.NETWORK), tmp_path, dirs_exist_ok=True)
    folder = tmp_path / "ht" / "1"
    before = {file.name: file.read_bytes() for file in folder.iterdir()}
    other = ServedHarmonizer(small.harmonizer("ht_plus", seed=1)).eval()
    exact = onnx_file.export

    def inexact(network, *arguments) -> None:
        with torch.no_grad():
            network.network.dec[0].bias += 0.01
        exact(network, *arguments)
        with torch.no_grad():
            network.network.dec[0].bias -= 0.01

    monkeypatch.setattr(onnx_file, "export", inexact)
    with pytest.raises(CheckFailed, match="differs from torch"):
        publish(other, ht.NETWORK, tmp_path, {})
    assert {file.name: file.read_bytes() for file in folder.iterdir()} == before


def test_an_answer_that_is_not_a_number_fails_the_check(tmp_path: Path) -> None:
    network = ServedHarmonizer(small.harmonizer("ht_plus")).eval()
    torch.nn.init.constant_(network.network.dec[0].bias, float("nan"))
    with pytest.raises(CheckFailed):
        publish(network, ht.NETWORK, tmp_path, {})
    assert list((tmp_path / "ht" / "1").iterdir()) == []


class _NotBlack(torch.nn.Module):
    """Reads a table out of its range for a black composite."""

    def __init__(self) -> None:
        super().__init__()
        self.harmonizer = ServedHarmonizer(small.harmonizer("ht_plus"))
        self.register_buffer("table", torch.zeros(1))

    def forward(self, composite: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        black = (composite.flatten(1).amax(1) == 0).long()
        return self.harmonizer(composite, mask) + self.table.gather(0, black)[:, None, None, None]


def test_a_network_with_which_no_server_would_become_ready_is_not_published(tmp_path: Path) -> None:
    with pytest.raises(CheckFailed, match="ht: it cannot answer its warm-up; the repository is left as it was"):
        publish(_NotBlack().eval(), ht.NETWORK, tmp_path, {})
    assert list((tmp_path / "ht" / "1").iterdir()) == []


def test_a_checkpoint_that_does_not_fit_ends_the_command_with_the_keys(tmp_path: Path) -> None:
    weights = dict(small.harmonizer("ht_plus").state_dict())
    weights["left.over"] = torch.zeros(1)
    torch.save(weights, tmp_path / "latest_net_G.pth")
    finished = export("ht", "--checkpoint", tmp_path / "latest_net_G.pth", "--model-repository", tmp_path / "models")
    assert finished.returncode == 1
    assert "left over: left.over" in finished.stderr
    assert "missing: transformer_enc.encoder.layers.8.norm2.bias" in finished.stderr
    assert "Traceback" not in finished.stderr
    assert not (tmp_path / "models").exists()


@pytest.mark.parametrize("content", [b"", b"junk"])
def test_a_damaged_checkpoint_ends_the_command_with_one_line(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "best_model.pth").write_bytes(content)
    finished = export("cris", "--checkpoint", tmp_path / "best_model.pth", "--model-repository", tmp_path / "models")
    assert finished.returncode == 1
    assert finished.stderr.startswith("export: ") and finished.stderr.count("\n") == 1


def test_a_checkpoint_of_another_network_names_the_command_that_takes_it(tmp_path: Path) -> None:
    path = small.save_sized(small.harmonizer("ht_plus"), small.harmonizer_config("ht_plus"), tmp_path / "a.safetensors")
    with pytest.raises(CheckpointError, match="not a checkpoint of dht, but of ht: python -m export ht takes it"):
        convert(dht.NETWORK, path, tmp_path / "models")
    small_diffusion.unet().save_pretrained(tmp_path / "unet")
    unet = tmp_path / "unet" / "diffusion_pytorch_model.safetensors"
    with pytest.raises(CheckpointError, match="not a checkpoint of ht, but of diffharmony"):
        convert(ht.NETWORK, unet, tmp_path / "models")
    torch.save({"a": torch.zeros(1)}, tmp_path / "other.pth")
    with pytest.raises(CheckpointError, match="nor of any other network that is exported here"):
        convert(ht.NETWORK, tmp_path / "other.pth", tmp_path / "models")
    assert not (tmp_path / "models").exists()


def test_help_answers_within_a_second_and_names_every_command() -> None:
    """Of CPU time: torch alone would take longer."""
    before = os.times()
    finished = export("--help")
    after = os.times()
    assert finished.returncode == 0, finished.stderr
    said = {line.split()[0] for line in finished.stdout.splitlines() if line.startswith("    ") and line.split()}
    assert {*NETWORKS, *PIPELINES, "engine", "golden", "configs"} - set(PARTS) <= said
    spent = after.children_user + after.children_system - before.children_user - before.children_system
    assert spent < 1


@pytest.mark.parametrize("command", ["cris", "harmony_vae", "engine", "golden", "configs"])
def test_every_command_says_what_it_takes(command: str) -> None:
    finished = export(command, "--help")
    assert finished.returncode == 0 and finished.stdout.startswith(f"usage: python -m export {command}")
    assert ("--convolution" in finished.stdout) == (command == "harmony_vae")
