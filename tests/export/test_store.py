"""`python -m export store` makes networks' files smaller, and nothing else of them another."""

import json
import os
import shutil
import zlib
from functools import partial
from pathlib import Path

import numpy as np
import onnx
import onnx_ir as ir
import pytest

from concord import judged
from concord.variants import sha256, variants
from export import stored_weights
from export.__main__ import main
from export.networks import text_encoder
from export.publication import MODEL, REPOSITORY
from tests.commands import run

store = partial(run, main, "store", "--model-repository")

NETWORK = text_encoder.NETWORK.name
LIMIT = 80_000_000  # bytes of all demo weights, packed as git packs what a clone brings


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """The version's folder of a demo network as it was before its weights were packed, with an INT8 form."""
    shutil.copytree(REPOSITORY / NETWORK, tmp_path / NETWORK)
    folder = tmp_path / NETWORK / "1"
    ir.save(stored_weights.load(folder / MODEL), folder / MODEL)
    digest = {"onnx_sha256": sha256(folder / MODEL)}
    (folder / "model.int8.xml").touch()
    (folder / "model.int8.xml.json").write_text("{}")
    for path in folder.glob("*.json"):
        path.write_text(json.dumps(json.loads(path.read_text()) | digest))
    os.utime(folder / MODEL, (1000, 1000))
    return folder


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def seen(folder: Path) -> dict[str, object]:
    """What is known of each form of the network."""
    [found] = variants([folder.parents[1]]).values()
    return {profile: judged.read(variant, ["amx"]) for profile, variant in found.items()}


def test_a_network_is_stored_in_fewer_bytes_and_what_is_known_of_it_stays_known(folder: Path) -> None:
    before, known, size = contents(folder), seen(folder), (folder / MODEL).stat().st_size
    assert any(known.values())
    finished = store(folder.parents[1], NETWORK)
    assert finished.returncode == 0, finished.stderr
    assert (folder / MODEL).stat().st_size < size / 10 and "MB instead of 9.75" in finished.stdout
    assert contents(folder).keys() == before.keys() and seen(folder) == known
    digest = {"onnx_sha256": sha256(folder / MODEL)}
    for name in ("model.json", judged.FILE, "model.int8.xml.json"):
        assert json.loads((folder / name).read_text()) == json.loads(before[name]) | digest
    assert (folder / MODEL).stat().st_mtime == 1000


def test_a_network_that_is_stored_already_stays(folder: Path) -> None:
    store(folder.parents[1])
    before = contents(folder)
    finished = store(folder.parents[1])
    assert finished.returncode == 0 and f"{NETWORK}: 0.35 MB, as it was" in finished.stdout
    assert contents(folder) == before


def test_weights_that_lie_beside_a_network_stay_there(folder: Path) -> None:
    onnx.save(onnx.load(folder / MODEL), folder / MODEL, save_as_external_data=True, location="weights-0.bin")
    before = contents(folder)
    finished = store(folder.parents[1], NETWORK)
    assert finished.returncode == 0 and "its weights lie beside it" in finished.stdout
    assert contents(folder) == before


def test_a_file_that_would_lose_something_replaces_nothing(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before, halved = contents(folder), stored_weights.halved
    monkeypatch.setattr(stored_weights, "halved", lambda name, values: halved(name, np.zeros_like(values)))
    finished = store(folder.parents[1], NETWORK)
    assert finished.returncode == 1
    assert f"{NETWORK}: its graph or weights would be others; the repository is left as it was" in finished.stderr
    assert contents(folder) == before


def test_what_is_no_network_is_refused(folder: Path) -> None:
    finished = store(folder.parents[1], "nonsense")
    assert finished.returncode == 1 and "nonsense: has no exported network" in finished.stderr


def test_all_demo_weights_together_stay_small() -> None:
    files = [*(REPOSITORY.parent / "demo" / "weights").rglob("*"), *REPOSITORY.glob(f"*/1/{MODEL}")]
    assert sum(len(zlib.compress(path.read_bytes())) for path in files if path.is_file()) < LIMIT
