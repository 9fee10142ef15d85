"""The report: made from its JSON file and nothing else, and the page in `docs` is the one that is made from it."""

from dataclasses import asdict
from pathlib import Path

import pytest
from PIL import Image

from benchmarks.curves.points import measure_points, parts
from benchmarks.floors.loop import asking
from benchmarks.load.generator import generator
from benchmarks.parts.clients import by_clients
from benchmarks.parts.image_size import by_image_size
from benchmarks.report import main, read, render, write
from concord.instruments.markdown import significant, table
from concord.server.embedded import EmbeddedServer
from concord_client import Client
from tests.commands import run

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "performance.md"
MACHINE = {
    "processor": "A processor",
    "threads": 2,
    "memory_gib": 8,
    "python": "3.11",
    "versions": {"onnxruntime": "1"},
}


@pytest.fixture(scope="module")
def report(server: EmbeddedServer) -> dict:
    with Client(server.grpc_url) as client:
        calls = {steps: asking(client, {"steps": steps}) for steps in (1, 2)}
        measured = {
            "image_size": asdict(by_image_size(server, client, (0.05, 0.1), rounds=1)),
            "steps": asdict(measure_points(server.grpc_url, server.processes(), calls, rounds=1)),
        }
    with generator() as asking_process:
        measured["clients"] = asdict(by_clients(server, asking_process, (1, 2), rounds=1, seconds=0.4))
    measured["batch"] = {"ht": measured["image_size"], "unet": measured["steps"]}
    return {"machine": MACHINE, "measured": {"steps": "2026-01-02 03:04"}} | measured


def test_a_report_has_a_table_a_line_and_a_chart_of_each_curve(report: dict, tmp_path: Path) -> None:
    write(report, tmp_path / "report.md")
    page = (tmp_path / "report.md").read_text()
    for title in ("image size", "batch", "clients", "diffusion steps"):
        assert f"## Cost by {title}" in page
    assert page.count(" for each ") + page.count("No line fits ") >= 10  # time and memory of five series
    assert "fills the server" in page or "fill the server" in page
    for chart in (line.split("(")[1].rstrip(")") for line in page.splitlines() if line.startswith("![")):
        with Image.open(tmp_path / chart) as image:
            assert image.width > 500


def test_a_curve_has_the_time_of_every_model_that_answered(report: dict) -> None:
    for point in report["image_size"]["points"]:
        assert {"decode", "cris", "ht", "compose", "waiting for ht"} <= set(point["parts"])
        assert all(spent >= 0 for spent in point["parts"].values())


def test_the_parts_are_summed_over_calls_of_a_model_and_waiting_is_a_part_of_its_own() -> None:
    def unet(calls: int) -> dict:
        spent = {"count": str(calls), "ns": str(calls * 2_000_000)}
        return {"unet": {"inference_stats": dict.fromkeys(("success", "queue", "compute_infer"), spent)}}

    assert parts(unet(1), unet(4)) == {"unet": pytest.approx(6), "waiting for unet": pytest.approx(6)}


def test_a_report_is_what_its_numbers_say(report: dict, tmp_path: Path) -> None:
    write(report, tmp_path / "report.md")
    assert render(read(tmp_path / "report.json")) == (tmp_path / "report.md").read_text() == render(report)


def test_numbers_of_other_gpus_stay_on_the_page(report: dict, tmp_path: Path) -> None:
    here, there = {"A GPU": {"about": "here"}}, {"A GPU": {"about": "older"}, "Another GPU": {"about": "there"}}
    write({"machine": MACHINE, "gpu": there}, tmp_path / "page.md")
    write({"machine": MACHINE, "steps": report["steps"], "gpu": here}, tmp_path / "report.md")
    assert run(main, tmp_path / "report.json", tmp_path / "page.md").returncode == 0
    page = (tmp_path / "page.md").read_text()
    assert "here. Numbers" in page and "there. Numbers" in page and "older" not in page and "steps" in page


def test_parts_of_another_machine_are_put_on_the_page(report: dict, tmp_path: Path) -> None:
    write(report, tmp_path / "page.md")
    elsewhere = {"machine": MACHINE | {"processor": "Another"}, "gpu": {"A GPU": {"about": "there"}}}
    write(elsewhere, tmp_path / "report.md")
    assert run(main, tmp_path / "report.json", tmp_path / "page.md", "--only", "gpu").returncode == 0
    assert render(report | {"gpu": elsewhere["gpu"]}) == (tmp_path / "page.md").read_text()


def test_what_another_version_measured_and_this_one_cannot_read_is_left_out_and_named(
    report: dict, capsys: pytest.CaptureFixture[str]
) -> None:
    older = {"demo": {"milliseconds": {}}, "steps": {"points": [{"at": 1}]}}
    page = render(report | older)
    assert "## Cost by image size" in page and "## Cost by diffusion steps" not in page and "## Demo" not in page
    said = capsys.readouterr().err
    assert "report: demo is left out, measure it again: over_bare: Field required" in said and "report: steps" in said


def test_the_page_in_docs_is_made_from_the_numbers_beside_it() -> None:
    assert render(read(PAGE.with_suffix(".json"))) == PAGE.read_text()


@pytest.mark.parametrize("content", [None, "no JSON", "[]", "{}"])
def test_a_file_that_is_no_report_is_refused_in_words(content: str | None, tmp_path: Path) -> None:
    if content is not None:
        (tmp_path / "report.json").write_text(content)
    finished = run(main, tmp_path / "report.json", tmp_path / "page.md")
    assert finished.returncode == 1 and "report.json" in finished.stderr
    assert not (tmp_path / "page.md").exists()


def test_numbers_are_written_with_three_digits_that_count() -> None:
    assert [significant(each) for each in (0.01234, 1.5, 12.34, 123.4, 12345.6, 0.0, -2.345)] == [
        "0.0123",
        "1.50",
        "12.3",
        "123",
        "12346",
        "0",
        "-2.35",
    ]
    assert table(["a", "b"], [["x", 1.0]]) == "| a | b |\n| --- | --: |\n| x | 1.00 |"
