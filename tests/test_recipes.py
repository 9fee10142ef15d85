"""The recipes of CONTRIBUTING.md work as they are printed."""

import os
import re
import shutil
import subprocess
import sys
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import save_file

from concord.masks import encode_mask
from concord.scenes.scene import make_scene
from concord.server.embedded import EmbeddedServer, Ports
from concord_client import Client

ROOT = Path(__file__).parents[1]
RECIPES = (ROOT / "CONTRIBUTING.md").read_text()
ROOMS = ("backends", "client", "concord", "ensembles", "export", "model_repository")
GAIN = (0.5, 1.0, 0.75)


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the code, in which the recipe of a network was followed up to the exported checkpoint."""
    copy = tmp_path_factory.mktemp("tree")
    for room in ROOMS:
        shutil.copytree(ROOT / room, copy / room, ignore=shutil.ignore_patterns("__pycache__", "*.onnx*", "*.xml"))
    for path, text in re.findall(r"<!-- recipe: (\S+) -->\n```python\n(.*?)```", RECIPES, re.DOTALL):
        assert not (copy / path).exists()
        (copy / path).write_text(text)
    listed = copy / "export" / "networks" / "__init__.py"
    listed.write_text(listed.read_text().replace("NETWORKS = (", 'NETWORKS = ("tint", ', 1))
    save_file({"gain": torch.tensor(GAIN)}, copy / "tint.safetensors")
    run(copy, "export", "configs")
    run(copy, "export", "tint", "--checkpoint", "tint.safetensors")
    return copy


def run(tree: Path, *arguments: str) -> None:
    """A module of the copied tree, with this interpreter."""
    path = os.pathsep.join((str(tree), str(tree / "client")))
    command = [sys.executable, "-m", *arguments]
    finished = subprocess.run(
        command, cwd=tree, env=os.environ | {"PYTHONPATH": path}, capture_output=True, text=True, check=False
    )
    assert finished.returncode == 0, finished.stderr


def test_a_network_of_three_files_is_exported_and_served(tree: Path, tmp_path: Path) -> None:
    for name in ("decode", "decode_mask", "compose", "tint"):
        (tmp_path / name).symlink_to(tree / "model_repository" / name)
    (tmp_path / "harmonize_tint").symlink_to(tree / "ensembles" / "harmonize_tint")
    scene = make_scene(1_000_007, (256, 256))
    photograph = tmp_path / "photograph.png"
    Image.fromarray(scene.composite).save(photograph)
    with EmbeddedServer([tmp_path], ports=Ports(0, 0, 0)) as server, Client(server.grpc_url) as client:
        assert client.catalogue().models("harmonize") == ("tint",)
        answer = client.harmonize(photograph, mask=encode_mask(scene.mask), model="tint")
    harmonized = np.asarray(Image.open(BytesIO(answer.image))).astype(float)
    inside = scene.mask > 0
    assert np.array_equal(harmonized[~inside], scene.composite[~inside])
    assert np.allclose(harmonized[inside].mean(0), scene.composite[inside].mean(0) * GAIN, atol=3)


def test_a_network_of_three_files_has_every_profile_and_both_pipelines(tree: Path) -> None:
    profiles = {path.name for path in (tree / "model_repository" / "ht" / "configs").glob("*.pbtxt")} - {"tuned.pbtxt"}
    assert {path.name for path in (tree / "model_repository" / "tint" / "configs").glob("*.pbtxt")} == profiles
    assert (tree / "ensembles" / "segment_harmonize_tint" / "config.pbtxt").is_file()


@pytest.mark.parametrize("path", sorted(set(re.findall(r"`((?:\w+/)+[\w.]*)`", RECIPES))))
def test_every_file_that_a_recipe_names_has_its_place(path: str) -> None:
    place = ROOT / path
    example = "NAME" in path or "tint" in path
    assert place.exists() or (example and next(each for each in place.parents if "NAME" not in str(each)).is_dir())
