"""The forms of a network are compared with its default where they are made, and what is found is kept."""

import shutil
from pathlib import Path

import pytest

from concord import judged, processor
from concord.server.declared import catalogue
from concord.server.installation import MODEL_REPOSITORIES
from concord.variants import variants
from export import judge
from export.__main__ import main
from tests.commands import run

KIND = processor.here()[-1]


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    """An encoder and a decoder of which nothing is known, and the pipelines around them."""
    models, ensembles = MODEL_REPOSITORIES
    for name in ("vae_encoder", "vae_decoder"):
        shutil.copytree(models / name, tmp_path / "models" / name)
        (tmp_path / "models" / name / "1" / judged.FILE).unlink(missing_ok=True)
    shutil.copytree(ensembles, tmp_path / "ensembles")
    return tmp_path / "models"


def window_is_default(repository: Path) -> bool:
    pipelines = catalogue([repository, repository.parent / "ensembles"], missing=()).pipelines
    [found] = {each.settings["WINDOW"].default for each in pipelines if "WINDOW" in each.settings}
    return bool(found)


def test_every_form_that_runs_here_is_judged_once(repository: Path) -> None:
    lines = list(judge.judge_new(repository))
    decoder = variants([repository])["vae_decoder"]
    found = judged.read(decoder["openvino"], [KIND])
    assert found is not None and found.passed and found.time > 0 and found.machine["processor"] == processor.name()
    assert any(line.startswith("vae_decoder openvino: ") and "passed" in line for line in lines)
    assert judged.read(decoder["cuda"], [KIND]) is None
    assert not [line for line in judge.judge_new(repository) if "openvino" in line]


def test_pipelines_decode_everything_where_a_window_of_it_is_another_picture(
    repository: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert window_is_default(repository)
    monkeypatch.setattr(judge, "LEAST_WINDOW", 99.0)
    said = run(main, "judge", "vae_decoder", "--model-repository", repository).stdout
    assert "failed; everything is decoded" in said
    assert not window_is_default(repository)


def test_a_network_that_is_not_there_is_refused_with_those_that_are(repository: Path) -> None:
    refused = run(main, "judge", "nothing", "--model-repository", repository)
    assert refused.returncode == 1
    assert "nothing: is no network of the repository; it has vae_decoder, vae_encoder" in refused.stderr
