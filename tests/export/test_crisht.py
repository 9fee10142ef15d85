"""CRISHT is exported from two files or one, and what is missing or too many is named."""

import json
from argparse import Namespace
from functools import partial
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor

from export.__main__ import main
from export.network import Network
from export.networks import cris, crisht, ht
from export.pipelines.crisht import checkpoints, harmonizers, loaded
from tests.commands import run as run_command
from tests.export import small

NETWORK: Network = crisht.NETWORK
export = partial(run_command, main, NETWORK.name)
FORM = "ht_plus"


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    folder = tmp_path_factory.mktemp("checkpoints")
    return (
        small.save_sized(small.cris(), small.CRIS, folder / "cris.safetensors"),
        small.save_sized(small.harmonizer(FORM), small.harmonizer_config(FORM), folder / "harmonizer.safetensors"),
    )


@pytest.fixture(scope="module")
def repository(files: tuple[Path, Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    models = tmp_path_factory.mktemp("crisht") / "models"
    finished = export("--cris", files[0], "--dht", files[1], "--model-repository", models)
    assert finished.returncode == 0, finished.stderr
    return models


@pytest.mark.parametrize("prefixes", [("", ""), ("cris.", "netG.")])
def test_one_file_with_the_keys_of_both_gives_the_same_networks(
    files: tuple[Path, Path], tmp_path: Path, prefixes: tuple[str, str]
) -> None:
    weights: dict[str, Tensor] = {}
    for prefix, network in zip(prefixes, (small.cris(), small.harmonizer(FORM)), strict=True):
        weights |= {f"{prefix}{key}": value.contiguous() for key, value in network.state_dict().items()}
    sizes = {"cris": vars(small.CRIS), "harmonizer": vars(small.harmonizer_config(FORM))}
    save_file(weights, tmp_path / "both.safetensors", {"config": json.dumps(sizes)})
    one = checkpoints(Namespace(cris=None, dht=None, checkpoint=tmp_path / "both.safetensors"))
    two = checkpoints(Namespace(cris=files[0], dht=files[1], checkpoint=None))
    for networks, *pair in zip(([cris.NETWORK], harmonizers()), one, two, strict=True):
        found, expected = (loaded(each, networks).network.state_dict() for each in pair)
        assert found.keys() == expected.keys() and all(torch.equal(found[key], expected[key]) for key in found)


def test_the_record_names_both_checkpoints(repository: Path) -> None:
    record = json.loads((repository / NETWORK.name / "1" / "model.json").read_text())
    assert (record["cris"]["checkpoint"], record["harmonizer"]["checkpoint"]) == (
        "cris.safetensors",
        "harmonizer.safetensors",
    )
    assert [row["batch"] for row in record["differences"]] == [1, 2, 3]


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ((), "--cris and --dht is missing; give --cris and --dht, or --checkpoint"),
        (("--cris",), "--dht is missing; give --cris and --dht, or --checkpoint"),
        (("--dht",), "--cris is missing"),
        (("--dht", "--checkpoint"), "both --checkpoint and --dht are given"),
        (("--cris", "--dht", "--checkpoint"), "both --checkpoint and --cris are given"),
    ],
)
def test_a_file_that_is_missing_or_too_many_is_named(
    files: tuple[Path, Path], tmp_path: Path, given: tuple[str, ...], message: str
) -> None:
    paths = {"--cris": files[0], "--dht": files[1], "--checkpoint": files[0]}
    arguments = [each for flag in given for each in (flag, paths[flag])]
    finished = export(*arguments, "--model-repository", tmp_path / "models")
    assert finished.returncode == 1 and message in finished.stderr and finished.stderr.count("\n") == 1
    assert not (tmp_path / "models").exists()


def test_a_file_of_another_network_is_named(files: tuple[Path, Path], tmp_path: Path) -> None:
    finished = export("--cris", files[1], "--dht", files[0], "--model-repository", tmp_path / "models")
    assert finished.returncode == 1 and "harmonizer.safetensors: not a checkpoint of cris" in finished.stderr
    finished = export("--cris", files[0], "--dht", files[0], "--model-repository", tmp_path / "models")
    assert finished.returncode == 1
    assert "cris.safetensors: not a checkpoint of ht, dht, ht_v1, dht_v1" in finished.stderr


@pytest.mark.parametrize(("which", "missing"), [(0, "has no keys of a harmonizer"), (1, "has no keys of CRIS")])
def test_one_file_that_lacks_a_network_says_which(
    files: tuple[Path, Path], tmp_path: Path, which: int, missing: str
) -> None:
    finished = export("--checkpoint", files[which], "--model-repository", tmp_path / "models")
    assert finished.returncode == 1 and missing in finished.stderr


def test_the_command_of_a_harmonizer_names_the_one_that_takes_both(tmp_path: Path) -> None:
    weights = {f"cris.{key}": value for key, value in small.cris().state_dict().items()}
    weights |= {f"dht.{key}": value for key, value in small.harmonizer(FORM).state_dict().items()}
    torch.save(weights, tmp_path / "both.pth")
    arguments = (ht.NETWORK.name, "--checkpoint", tmp_path / "both.pth", "--model-repository", tmp_path / "models")
    finished = run_command(main, *arguments)
    assert finished.returncode == 1 and f"python -m export {NETWORK.name} takes it" in finished.stderr
