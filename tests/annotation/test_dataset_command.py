"""``concord dataset``, as a user runs it on a small data set; one test asks the real server."""

import json
from functools import partial
from pathlib import Path

import pytest

from annotation.dataset.commands.clean import EXPRESSIONS, MEASURED, REMOVED, SECOND_LOOK
from annotation.iharmony4 import read_expressions
from annotation.record import Annotation, Record, read_records, write_records
from concord.server.embedded import EmbeddedServer
from concord_client.command import main
from concord_client.commands import ExitCode
from tests.annotation.scenes import write_scenes
from tests.commands import run as run_command

dataset = partial(run_command, main, "dataset")


@pytest.fixture
def annotated(tmp_path: Path) -> Path:
    """A folder with the data set and a file of annotations, one of which has no words."""
    scenes = write_scenes(tmp_path / "data", objects=2)
    records: list[Record] = [
        Annotation(name, text)
        for name, scene in scenes.items()
        for text in (scene.expression, f"{scene.expression}.", *scene.alternatives[:1], "!!")
    ]
    write_records(tmp_path / "annotations.jsonl", records)
    return tmp_path


def test_what_lacks_an_iou_is_measured_by_the_server_and_only_once(annotated: Path, server: EmbeddedServer) -> None:
    before = (annotated / "annotations.jsonl").read_bytes()
    command = ("clean", annotated / "annotations.jsonl", "-o", annotated / "out", "--url", server.grpc_url)
    command = (*command, "--dataset", annotated / "data", "--measure", "--least", 0)
    run = dataset(*command)
    assert run.returncode == ExitCode.OK, run.stderr
    kept = read_records(annotated / "out" / EXPRESSIONS)
    assert kept and all(isinstance(each, Annotation) and each.iou is not None for each in kept)
    measured = (annotated / "out" / MEASURED).read_bytes()
    (annotated / "out" / MEASURED).write_bytes(measured + b'{"composite": "cut o')
    again = dataset(*command)
    assert (annotated / "out" / MEASURED).read_bytes() == measured and read_records(
        annotated / "out" / EXPRESSIONS
    ) == kept
    assert again.stdout == run.stdout and (annotated / "annotations.jsonl").read_bytes() == before
    removed = [json.loads(line) for line in (annotated / "out" / REMOVED).read_text().splitlines()]
    assert {each["reason"] for each in removed} >= {"without a letter"}
    low = read_records(annotated / "out" / SECOND_LOOK)
    assert [each.iou for each in low if isinstance(each, Annotation)] == sorted(
        each.iou for each in kept if isinstance(each, Annotation) and each.iou is not None and each.iou < 0.5
    )


def test_a_cleaned_file_is_counted_and_exported(annotated: Path) -> None:
    file = annotated / "annotations.jsonl"
    assert dataset("clean", file, "-o", annotated / "out").returncode == ExitCode.OK
    cleaned = annotated / "out" / EXPRESSIONS
    counted = dataset("statistics", cleaned, "-o", annotated / "counted", "--dataset", annotated / "data")
    assert counted.returncode == ExitCode.OK, counted.stderr
    written = {path.name for path in (annotated / "counted").iterdir()}
    assert written == {"report.md", "statistics.json"} | {
        f"{name}.{form}" for name in ("subsets", "expressions", "words") for form in ("svg", "png")
    }
    expressions = json.loads((annotated / "counted" / "statistics.json").read_text())["subsets"]["all"]["expressions"]
    lines = annotated / "lines.jsonl"
    assert dataset("export", cleaned, "--form", "lines", "-o", lines).returncode == ExitCode.OK
    assert sum(map(len, read_expressions(lines).values())) == expressions
    assert all(json.loads(line).keys() == {"composite", "expression"} for line in lines.read_text().splitlines())
    for form in ("coco", "label-studio"):
        path = annotated / f"{form}.json"
        run = dataset("export", cleaned, "--form", form, "--dataset", annotated / "data", "-o", path)
        assert run.returncode == ExitCode.OK, run.stderr
    assert (annotated / "label-studio.xml").is_file()
    back = annotated / "back.jsonl"
    assert dataset("import", annotated / "label-studio.json", "-o", back).returncode == ExitCode.OK
    assert read_records(back) == read_records(cleaned)


@pytest.mark.parametrize(
    ("given", "code", "words"),
    [
        (("clean", "bad.jsonl", "-o", "out"), ExitCode.FAILED, "bad.jsonl, line 2: iou is 3"),
        (("clean", "none.jsonl", "-o", "out"), ExitCode.FAILED, "none.jsonl: No such file"),
        (
            ("clean", "annotations.jsonl", "-o", "out", "--measure"),
            ExitCode.USAGE,
            "--measure needs --dataset",
        ),
        (("clean", "annotations.jsonl", "-o", "out", "--least", "2"), ExitCode.USAGE, "number from 0 to 1"),
        (("export", "annotations.jsonl", "--form", "coco", "-o", "x.json"), ExitCode.USAGE, "needs --dataset"),
        (
            ("export", "annotations.jsonl", "--form", "lines", "-o", "annotations.jsonl"),
            ExitCode.USAGE,
            "would replace",
        ),
        (("statistics", "empty.jsonl", "-o", "out"), ExitCode.FAILED, "no expression"),
        (("import", "annotations.jsonl", "-o", "x.jsonl"), ExitCode.FAILED, "line 2: no JSON"),
    ],
)
def test_what_cannot_be_used_is_said_in_a_line(
    annotated: Path, given: tuple[str, ...], code: ExitCode, words: str
) -> None:
    (annotated / "empty.jsonl").write_text("")
    (annotated / "bad.jsonl").write_text('\n{"composite": "HCOCO/a.jpg", "expression": "a", "iou": 3}\n')
    run = dataset(*given, cwd=annotated)
    assert run.returncode == code and words in run.stderr and "Traceback" not in run.stderr, run.stderr
    assert not (annotated / "out").exists() and not (annotated / "x.json").exists()
