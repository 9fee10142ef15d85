"""The published tables by one command each, through the real server, with the published numbers beside."""

import json
from functools import partial
from pathlib import Path

import pytest

from annotation.record import Annotation, write_records
from benchmarks.quality import harmonizers, pipelines, segmentation
from benchmarks.quality.published import ALL, published
from benchmarks.quality.scores import Result, beside_published, side_by_side
from concord.server.embedded import EmbeddedServer
from tests.annotation.scenes import write_scenes
from tests.commands import run


@pytest.fixture
def dataset(tmp_path: Path) -> Path:
    """Two composites of HCOCO with two expressions each, and one of Hday2night without any."""
    folder = tmp_path / "data"
    scenes = write_scenes(folder, objects=3)
    records = [
        Annotation(name, text)
        for name, scene in scenes.items()
        if name.startswith("HCOCO")
        for text in (scene.expression, "the thing in the middle")
    ]
    write_records(folder / "expressions.jsonl", records)
    return folder


def rows(report: str) -> list[list[str]]:
    """The cells of a report's tables."""
    return [line.strip("| ").split(" | ") for line in report.splitlines() if line.startswith("|")]


def test_segmentation_on_composites_stands_beside_that_on_real_pictures(
    dataset: Path, tmp_path: Path, server: EmbeddedServer
) -> None:
    out = tmp_path / "out"
    texts = dataset / "expressions.jsonl"
    command = partial(
        run, segmentation.main, "--dataset", dataset, "--expressions", texts, "--url", server.grpc_url, "--output", out
    )
    assert command("--limit", 1).returncode == 0
    kept = (out / "results.jsonl").read_text()
    finished = command()
    assert finished.returncode == 0, finished.stderr
    results = (out / "results.jsonl").read_text()
    assert results.startswith(kept) and len(results.splitlines()) == len(texts.read_text().splitlines())
    report = (out / "report.md").read_text()
    told = {row[0]: row for row in rows(report)}
    means = [
        100 * sum(json.loads(line)[kind] for line in results.splitlines()) / len(results.splitlines())
        for kind in ("real", "composite")
    ]
    assert told[ALL][3:5] == [f"{mean:.2f}" for mean in means]
    assert told[ALL][6:] == [column.cell(ALL) for column in published("segmentation").columns]
    assert "Hday2night" not in told and "- Hday2night/c1_1_1.jpg: no expression" in report
    assert "- HFlickr: no such sub-set" in report


def test_pipelines_stand_beside_the_models_that_are_one_network(
    dataset: Path, tmp_path: Path, server: EmbeddedServer
) -> None:
    out = tmp_path / "out"
    finished = run(
        pipelines.main,
        *("--dataset", dataset, "--expressions", dataset / "expressions.jsonl", "--limit", 1),
        *("--url", server.grpc_url, "--output", out),
    )
    assert finished.returncode == 0, finished.stderr
    table = published("pipelines")
    served = [column for column in table.columns if column.served]
    header, _, measured, told, *_ = rows((out / "report.md").read_text())
    assert set(header[4:]) == {f"{column.method}: {column.served}" for column in served}
    assert all(len(cell.split(" / ")) == len(table.measures) for cell in measured[4:])
    assert told[0] == "published" and told[3] == table.columns[0].cell("HCOCO")
    assert all((out / column.served / "results.jsonl").is_file() for column in served)


def test_every_harmonizer_stands_beside_the_published_ones(
    dataset: Path, tmp_path: Path, server: EmbeddedServer
) -> None:
    out = tmp_path / "out"
    command = partial(run, harmonizers.main, "--dataset", dataset, "--url", server.grpc_url, "--output", out)
    finished = command("--limit", 1)
    assert finished.returncode == 0, finished.stderr
    report = (out / "report.md").read_text()
    lines = {row[0]: row for row in rows(report)}
    for column in published("harmonizers").columns:
        served = lines[column.method]
        assert served[1] == column.cell(ALL)
        scored = (out / column.served / "results.jsonl").is_file() if column.served else False
        missing = f"- {column.method}: no model {column.served} on this server" in report
        assert bool(served[3:] and served[3].strip()) == scored
        assert missing == (bool(column.served) and not scored)


def test_a_model_that_is_not_served_and_texts_of_other_pictures_are_said(
    dataset: Path, tmp_path: Path, server: EmbeddedServer
) -> None:
    common = ("--dataset", dataset, "--url", server.grpc_url, "--output", tmp_path / "out")
    unknown = run(harmonizers.main, *common, "--model", "nothing")
    assert unknown.returncode == 1 and "nothing" in unknown.stderr
    write_records(tmp_path / "others.jsonl", [Annotation("HCOCO/x_1_1.jpg", "the cat")])
    others = run(segmentation.main, *common, "--expressions", tmp_path / "others.jsonl")
    assert others.returncode == 1 and "such as HCOCO/x_1_1.jpg: not in the data set" in others.stderr


def test_the_published_rows_are_whole() -> None:
    for name in ("segmentation", "harmonizers", "pipelines"):
        table = published(name)
        for column in table.columns:
            width = len(table.measures) - (column.method == "composite")
            assert ALL in column.rows and {len(row) for row in column.rows.values()} == {width}
        served = [column.served for column in table.columns if column.served]
        assert len(served) == len(set(served))


def test_models_are_compared_on_what_all_of_them_have_scored() -> None:
    def result(name: str, value: float) -> Result:
        scores = dict.fromkeys(("PSNR", "SSIM", "MSE", "fMSE"), value)
        return Result(
            name=name, subset="HCOCO", expression=None, ratio=0.1, composite=scores, harmonized=scores, iou=None
        )

    table = published("harmonizers")
    [column, *_] = [each for each in table.columns if each.served]
    scored = {column.served: [result("a", 1), result("b", 3)], "another": [result("b", 5)]}
    header, _, measured, told, *_ = rows(side_by_side(scored, table.measures, table))
    assert header[3:] == [f"{column.method}: {column.served}", "another"]
    assert measured[1:] == ["1", "3.00 / 3.00 / 3.00", "3.00 / 3.00 / 3.00", "5.00 / 5.00 / 5.00"]
    assert column.cell("HCOCO") in told
    assert "2.00 / 2.00 / 2.00" in beside_published(scored, table)
