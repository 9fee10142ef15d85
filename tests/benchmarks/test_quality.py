"""The quality benchmark: data in iHarmony4's layout through the real server, scored as published."""

import json
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from annotation.iharmony4 import read_dataset, read_expressions
from annotation.record import Annotation, DatasetError, write_records
from benchmarks.quality.__main__ import main
from benchmarks.quality.scores import Result, ratio_name, score, tables
from concord.scenes.scene import Scene, make_scene
from concord.server.embedded import EmbeddedServer
from tests.commands import run as run_command

quality = partial(run_command, main)


@pytest.fixture
def dataset(tmp_path: Path) -> Path:
    """Two sub-sets of one scene each; one composite more has no mask, another is no image."""
    folder = tmp_path / "data"
    for number, subset in enumerate(("HCOCO", "Hday2night")):
        add(folder / subset, f"c{number}", make_scene(number, (96, 128)))
    (folder / "HCOCO" / "composite_images" / "c7_1_1.jpg").write_bytes(b"")
    add(folder / "HCOCO", "c8", make_scene(8, (64, 64)))
    (folder / "HCOCO" / "composite_images" / "c8_1_1.jpg").write_bytes(b"no image")
    return folder


def add(subset: Path, name: str, scene: Scene) -> None:
    for part in ("composite_images", "masks", "real_images"):
        (subset / part).mkdir(parents=True, exist_ok=True)
    Image.fromarray(scene.composite).save(subset / "composite_images" / f"{name}_1_1.jpg", quality=95)
    Image.fromarray(scene.mask).save(subset / "masks" / f"{name}_1.png")
    Image.fromarray(scene.truth).save(subset / "real_images" / f"{name}.jpg", quality=95)


def test_composites_are_scored_by_sub_set_and_the_rest_is_listed(
    dataset: Path, tmp_path: Path, server: EmbeddedServer
) -> None:
    run = quality("--dataset", dataset, "--url", server.grpc_url, "--output", tmp_path / "out")
    assert run.returncode == 0, run.stderr
    report = (tmp_path / "out" / "report.md").read_text()
    assert report in run.stdout
    assert "ht: 2 of 4 composites, 2 left out" in report
    assert "HCOCO/c7_1_1: no masks/c7_1 and real_images/c7" in report
    assert "HCOCO/c8_1_1.jpg: cannot identify image file" in report
    assert all(f"| {name} | 1 |" in report for name in ("HCOCO", "Hday2night")) and "| all | 2 |" in report


def test_a_run_goes_on_where_it_was_stopped(dataset: Path, tmp_path: Path, server: EmbeddedServer) -> None:
    command = ("--dataset", dataset, "--url", server.grpc_url, "--output", tmp_path / "out")
    assert quality(*command, "--limit", "1").returncode == 0
    results = tmp_path / "out" / "results.jsonl"
    [first] = results.read_text().splitlines()
    results.write_text(first + '\n{"name": "cut o')
    assert quality(*command).returncode == 0
    names = [json.loads(line)["name"] for line in results.read_text().splitlines()]
    assert names == ["HCOCO/c0_1_1.jpg", "Hday2night/c1_1_1.jpg"]
    other = quality(*command, "--full-resolution")
    assert other.returncode == 1 and "results of other settings" in other.stderr


def test_objects_are_found_by_each_of_their_expressions(dataset: Path, tmp_path: Path, server: EmbeddedServer) -> None:
    scene = make_scene(0, (96, 128))
    texts = [scene.expression, "the thing in the middle", scene.expression]
    expressions = tmp_path / "expressions.jsonl"
    write_records(expressions, [Annotation("HCOCO/c0_1_1.jpg", text) for text in texts])
    command = (
        "--dataset",
        dataset,
        "--expressions",
        expressions,
        "--url",
        server.grpc_url,
        "--output",
        tmp_path / "out",
    )
    assert quality(*command, "--limit", "1").returncode == 0
    run = quality(*command)
    assert run.returncode == 0, run.stderr
    results = [json.loads(line) for line in (tmp_path / "out" / "results.jsonl").read_text().splitlines()]
    assert [(each["name"], each["expression"]) for each in results] == [
        ("HCOCO/c0_1_1.jpg", text) for text in texts[:2]
    ]
    assert all(0 <= each["iou"] <= 1 for each in results)
    assert "Hday2night/c1_1_1.jpg: no expression" in run.stdout
    assert "| sub-set | images | expressions |" in run.stdout and "| HCOCO | 1 | 2 |" in run.stdout


def test_pipelines_and_networks_of_one_piece_stand_side_by_side(
    dataset: Path, tmp_path: Path, server: EmbeddedServer
) -> None:
    entries = [
        {"composite": f"{subset}/c{number}_1_1.jpg", "expression": make_scene(number, (96, 128)).expression}
        for number, subset in enumerate(("HCOCO", "Hday2night"))
    ]
    expressions = tmp_path / "expressions.jsonl"
    expressions.write_text("".join(json.dumps(entry) + "\n" for entry in entries))
    given = ("--dataset", dataset, "--expressions", expressions, "--url", server.grpc_url, "--output", tmp_path / "out")
    run = quality(*given, "--model", "all")
    assert run.returncode == 0, run.stderr
    report = (tmp_path / "out" / "report.md").read_text()
    header, _, *rows = [line.strip("| ").split(" | ") for line in report.splitlines() if line.startswith("|")]
    assert header[:4] == ["sub-set", "images", "expressions", "composite"]
    assert {"ht", "crisht", "diffharmony"} <= set(header[4:])
    assert [row[:3] for row in rows] == [["HCOCO", "1", "1"], ["Hday2night", "1", "1"], ["all", "2", "2"]]
    assert all(len(row[3].split(" / ")) == 2 for row in rows)
    assert all(len(cell.split(" / ")) == 3 for row in rows for cell in row[4:])


def test_a_server_that_is_not_there_is_said(dataset: Path, tmp_path: Path) -> None:
    run = quality("--dataset", dataset, "--url", "127.0.0.1:9", "--output", tmp_path / "out")
    assert run.returncode == 1 and "127.0.0.1:9" in run.stderr and "Traceback" not in run.stderr


def test_a_list_of_the_test_set_is_kept_to(dataset: Path) -> None:
    (dataset / "HCOCO" / "HCOCO_test.txt").write_text("composite_images/c0_1_1.jpg\nc9_1_1.jpg\n")
    found = read_dataset(dataset)
    assert [sample.name for sample in found.samples] == ["HCOCO/c0_1_1.jpg", "Hday2night/c1_1_1.jpg"]
    assert found.missing == ["HCOCO/c9_1_1: no composite_images/c9_1_1 and masks/c9_1 and real_images/c9"]
    everything = {sample.name for sample in read_dataset(dataset, tested=False).samples}
    assert everything == {*(sample.name for sample in found.samples), "HCOCO/c8_1_1.jpg"}


def test_a_folder_without_the_layout_and_a_bad_line_are_named(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match="no composite_images in any of HCOCO"):
        read_dataset(tmp_path)
    (tmp_path / "expressions").write_text('\n{"composite": "a.jpg"}\n')
    with pytest.raises(DatasetError, match="line 2: no record; expected"):
        read_expressions(tmp_path / "expressions")


def test_the_measures_are_those_of_their_definitions() -> None:
    truth = np.zeros((256, 256, 3), np.uint8)
    mask = np.zeros((256, 256), np.uint8)
    mask[:64] = 255
    picture = truth.copy()
    picture[:64] = 8
    measured = score(picture, truth, mask)
    assert (measured["MSE"], measured["fMSE"]) == (16, 64)
    assert measured["PSNR"] == pytest.approx(20 * np.log10(255 / 4))
    assert 0 < measured["SSIM"] < 1
    assert [ratio_name(ratio) for ratio in (0.01, 0.05, 0.15, 1.0)] == ["0-5 %", "5-15 %", "15-100 %", "15-100 %"]


def test_the_table_has_means_over_images() -> None:
    def result(name: str, subset: str, value: float) -> Result:
        scores = dict.fromkeys(("PSNR", "SSIM", "MSE", "fMSE"), value)
        return Result(
            name=name, subset=subset, expression=None, ratio=0.1, composite=scores, harmonized=scores, iou=None
        )

    table = tables([result("a", "HCOCO", 1), result("b", "HCOCO", 2), result("c", "HFlickr", 6)])
    assert "| HCOCO | 2 | 1.50 |" in table and "| HFlickr | 1 | 6.00 |" in table and "| all | 3 | 3.00 |" in table
    assert "| 5-15 % | 3 | 3.00 |" in table and "| 0-5 % | 0 |  |" in table
