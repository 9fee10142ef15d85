"""A pipeline's optional encoder or decoder is compared with its own before requests may have it."""

import shutil
from pathlib import Path

import pytest

from concord.server.declared import catalogue
from concord.server.installation import MODEL_REPOSITORIES
from concord_client import Pipeline
from export import gate_record, judge, part_gate
from export.__main__ import main
from export.gate_record import NOT_MADE
from export.publication import Staged
from tests.commands import run
from tests.serving.tiny_networks import OPEN, write_loops, write_networks

MODELS = MODEL_REPOSITORIES[0]


@pytest.fixture
def repository(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The demo's encoder and decoder, and pipelines around them of whose gates nothing is known."""
    monkeypatch.setattr(part_gate, "PICTURES", 2)
    write_loops(tmp_path / "ensembles", **dict.fromkeys(OPEN, NOT_MADE))
    for name in ("vae_encoder", "vae_decoder", "latent_preview"):
        place(tmp_path / "models", name, name)
    return tmp_path / "models"


def place(repository: Path, name: str, source: str) -> None:
    """The demo's network `source` as the network `name`."""
    shutil.copytree(MODELS / name, repository / name, ignore=shutil.ignore_patterns("model.*", "*.json"))
    for file in ("model.onnx", "model.json"):
        shutil.copy(MODELS / source / "1" / file, repository / name / "1")


def pipelines(repository: Path) -> list[Pipeline]:
    return list(catalogue([repository, repository.parent / "ensembles"], missing=()).pipelines)


def gate(repository: Path, role: str) -> str:
    [found] = {pipeline.parts[role].gate for pipeline in pipelines(repository)}
    assert found is not None
    return found


def test_networks_that_answer_as_the_pipeline_s_own_pass_and_are_offered(repository: Path) -> None:
    place(repository, "tiny_encoder", "vae_encoder")
    place(repository, "tiny_decoder", "vae_decoder")
    said = list(part_gate.judge(repository, ["tiny_encoder", "tiny_decoder"]))
    for role in ("tiny_encoder", "tiny_decoder"):
        assert gate(repository, role).startswith("passed: 2 scenes ")
        assert any(line.startswith(f"{role} as {role}: passed") for line in said)
    for pipeline in pipelines(repository):
        assert pipeline.settings["ENCODER"].choices == ("plain", "tiny")
        assert "tiny" in pipeline.settings["DECODER"].choices


def test_a_network_that_answers_something_else_fails_and_stays_refused(repository: Path) -> None:
    write_networks(repository, "tiny_decoder")
    said = run(main, "judge", "tiny_decoder", "--model-repository", repository)
    assert said.returncode == 0, said.stderr
    assert "tiny_decoder as tiny_decoder: failed: 2 scenes " in said.stdout
    assert gate(repository, "tiny_decoder").startswith("failed: ")
    for pipeline in pipelines(repository):
        assert "tiny" not in pipeline.settings["DECODER"].choices
        assert "failed: 2 scenes" in pipeline.settings["DECODER"].closed["tiny"]


def test_a_gate_is_asked_once_by_itself_and_again_when_one_of_its_networks_is_another(repository: Path) -> None:
    place(repository, "tiny_decoder", "vae_decoder")
    assert [line for line in judge.judge_new(repository) if line.startswith("tiny_decoder as ")]
    assert gate(repository, "tiny_encoder") == NOT_MADE  # it is not there
    assert not list(part_gate.judge(repository, new=True))
    with Staged(repository, "vae_decoder") as staged:
        shutil.copy(MODELS / "vae_decoder" / "1" / "model.onnx", staged.model)
        staged.write_record({})
        assert gate(repository, "tiny_decoder").startswith("passed: ")
        staged.switch()
        assert gate(repository, "tiny_decoder") == gate(repository, "linear_decoder") == NOT_MADE
    assert [line.partition(":")[0] for line in part_gate.judge(repository, new=True)] == [
        "latent_preview as linear_decoder",
        "tiny_decoder as tiny_decoder",
    ]


def test_a_decoder_whose_windows_are_other_pictures_fails(repository: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    place(repository, "tiny_decoder", "vae_decoder")
    placed = part_gate.Window.placed
    monkeypatch.setattr(part_gate.Window, "placed", lambda *given: placed(*given) * 0.5)
    list(part_gate.judge(repository, ["tiny_decoder"]))
    assert gate(repository, "tiny_decoder").startswith("failed: ")


def test_what_is_written_leaves_the_rest_of_a_configuration_as_it_is(repository: Path) -> None:
    path = repository.parent / "ensembles" / "diffharmony" / "config.pbtxt"
    before = path.read_text()
    [(found, names)] = [
        item for item in gate_record.gates(path.parents[1]).items() if item[0].part.role == "tiny_decoder"
    ]
    gate_record.write(path.parents[1], found, names, "passed: well")
    key = '"gate.tiny_decoder" value { string_value: '
    assert path.read_text() == before.replace(f'{key}"{NOT_MADE}"', f'{key}"passed: well"')
    assert sorted(names) == ["diffharmony", "diffharmony_once"]
