"""What an engine compiled is there at the next start, and never that of another file, version or processor."""

import os
import shutil
from pathlib import Path

import pytest

from concord import cache, processor
from concord.server.embedded import EmbeddedServer, Ports
from concord.server.installation import MODEL_REPOSITORIES
from tests.serving.asking import ask
from tests.serving.test_openvino import composites


@pytest.fixture
def network(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    shutil.copytree(MODEL_REPOSITORIES[0] / "ht", tmp_path / "models" / "ht")
    return tmp_path / "models" / "ht" / "1" / "model.onnx"


def served(network: Path) -> tuple[bytes, dict[str, int]]:
    """The answer of a server that is started on the network, and what is in the cache then, by when it was written."""
    with EmbeddedServer([network.parents[2]], ports=Ports(0, 0, 0), model_config_name="openvino") as server:
        answer = ask(server, "ht", composites(1))["SMALL_RESULT"].tobytes()
    return answer, {str(path): path.stat().st_mtime_ns for path in cache.root().rglob("*.blob")}


def test_a_network_is_compiled_once_and_again_when_its_file_has_changed(network: Path) -> None:
    first, second = served(network), served(network)
    assert first == second and len(first[1]) == 1
    os.utime(network)
    answer, blobs = served(network)
    assert answer == first[0] and len(blobs) == 1 and blobs != first[1]


def filled(network: Path, version: str = "1") -> Path:
    folder = cache.compiled(network, version)
    assert folder is not None
    (folder / "a.blob").touch()
    return folder


def test_what_another_version_or_processor_filled_is_emptied(network: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = filled(network)
    assert cache.compiled(network, "1") == folder and (folder / "a.blob").exists()
    assert cache.compiled(network, "2") == folder and not (folder / "a.blob").exists()
    filled(network, "2")
    monkeypatch.setattr(processor, "name", lambda: "another")
    assert cache.compiled(network, "2") == folder and not (folder / "a.blob").exists()


def test_what_belongs_to_a_file_that_is_gone_is_removed(network: Path) -> None:
    folder, moved = filled(network), network.with_name("moved.onnx")
    network.rename(moved)
    assert cache.compiled(moved, "1") != folder and not folder.exists()


def test_where_nothing_can_be_written_nothing_is_kept(network: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (network.parent / "file").touch()
    monkeypatch.setenv("XDG_CACHE_HOME", str(network.parent / "file"))
    assert cache.compiled(network, "1") is None
