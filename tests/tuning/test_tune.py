"""`concord tune` on a repository whose one network there are fast, wrong and stale variants of."""

import json
from argparse import ArgumentParser
from contextlib import redirect_stderr, redirect_stdout
from io import StringIO
from pathlib import Path
from typing import NamedTuple

import pytest

from concord.instruments.started_server import served_config, serving
from concord.tuning import tune as tuning_command
from concord.variants import TUNED, outdated, variants
from tests.tuning.harmonizing import NETWORK, PIPELINE, add_variant, network, write_harmonizing

FEW = ("--scenes", "2", "--rounds", "1", "--seconds", "0.3")


class Run(NamedTuple):
    """What a command came to: its exit status and what it printed."""

    status: int
    table: str
    words: str

    def verdict(self, profile: str) -> str:
        """What the table says of a variant."""
        assert self.status == 0, self.words
        return next(line for line in self.table.splitlines() if line.startswith(NETWORK) and line.split()[1] == profile)


def tune(repository: Path, *arguments: str) -> Run:
    parser = ArgumentParser()
    tuning_command.add_arguments(parser)
    with redirect_stdout(StringIO()) as table, redirect_stderr(StringIO()) as words:
        status = tuning_command.run(parser.parse_args([*FEW, "--model-repository", str(repository), *arguments]))
    return Run(status, table.getvalue(), words.getvalue())


@pytest.fixture(scope="module")
def tuned(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Run]:
    """A repository that was tuned: its default is slow; of what is faster, only `exact` can be chosen."""
    repository = tmp_path_factory.mktemp("models")
    write_harmonizing(repository, network(layers=14))
    add_variant(repository, "exact", network(layers=5))
    add_variant(repository, "wrong", network(error=0.2), "int8")
    add_variant(repository, "stale", network(), onnx_sha256="0" * 64)
    add_variant(repository, "far", network(), differences=[{"batch": 1, "difference": 0.1, "magnitude": 1.0}])
    add_variant(repository, "damaged", network())
    (repository / NETWORK / "1" / "model.damaged.onnx").write_bytes(b"no network")
    return repository, tune(repository)


def test_the_fastest_that_keeps_its_gate_is_chosen(tuned):
    repository, run = tuned
    assert run.verdict("exact").endswith("chosen") and run.verdict("default").endswith("slower")
    chosen = variants([repository])[NETWORK][TUNED]
    assert chosen.settings == variants([repository])[NETWORK]["exact"].settings
    assert not list(outdated([repository]))
    with serving([repository], TUNED) as server:
        assert served_config(server.grpc_url, NETWORK)["default_model_filename"] == "model.exact.onnx"


def test_a_faster_one_that_fails_its_gate_is_refused_by_name(tuned):
    _, run = tuned
    assert f"refused: {PIPELINE.name}, 2 scenes: psnr" in run.verdict("wrong")


def test_what_is_stale_or_was_not_compared_well_is_not_even_timed(tuned):
    _, run = tuned
    assert "stale: model.stale.onnx was not made of the model.onnx that is there" in run.verdict("stale")
    assert "difference of its answers is 1.00e-01, allowed ≤ 1.00e-02" in run.verdict("far")


def test_what_cannot_be_loaded_keeps_nothing_else_from_being_tuned(tuned):
    _, run = tuned
    assert "cannot be served" in run.verdict("damaged")


def test_the_record_says_why(tuned):
    repository, _ = tuned
    record = json.loads((repository / NETWORK / "configs" / "tuned.json").read_text())
    assert record["chosen"] == "exact" and record["gate"]["failed"] == []
    assert len(record["variants"]["exact"]["rounds_ms"]) == 1 and record["variants"]["stale"]["p50_ms"] is None
    assert record["machine"]["processor"]


def test_a_dry_run_writes_nothing(tmp_path):
    write_harmonizing(tmp_path, network())
    assert tune(tmp_path, "--dry-run").verdict("default").endswith("chosen")
    assert not (tmp_path / NETWORK / "configs").exists()


def test_a_default_that_cannot_be_loaded_is_named(tmp_path):
    write_harmonizing(tmp_path, network())
    (tmp_path / NETWORK / "1" / "model.onnx").write_bytes(b"no network")
    run = tune(tmp_path)
    assert run.status == 1 and f"{NETWORK}: its default cannot be served" in run.words


def test_a_repository_without_networks_is_named(tmp_path):
    run = tune(tmp_path)
    assert run.status == 1 and "no pipeline of a task that has a gate is there: segment, harmonize" in run.words
    run = tune(tmp_path / "none")
    assert run.status == 1 and f"there is no folder {tmp_path}/none" in run.words


def test_what_the_embedded_server_cannot_run_is_left_out(tmp_path):
    write_harmonizing(tmp_path, network())
    gpu = add_variant(tmp_path, "gpu", network())
    gpu.config.write_text(gpu.config.read_text().replace("KIND_CPU", "KIND_GPU"))
    plan = add_variant(tmp_path, "plan", network())
    plan.config.write_text(plan.config.read_text().replace('backend: "onnxruntime"', 'backend: "tensorrt"'))
    found = variants([tmp_path])[NETWORK]
    assert tuning_command.unusable(found["default"]) == ""
    assert tuning_command.unusable(found["gpu"]).startswith("the installed onnxruntime has no CUDA")
    assert tuning_command.unusable(found["plan"]) == "the embedded server has no backend tensorrt"
