"""The report: made from its JSON file and nothing else, and the pages in `docs` are those that are made from theirs."""

import json
from dataclasses import asdict
from pathlib import Path

import pytest
from PIL import Image

from benchmarks.curves.points import measure_points, parts
from benchmarks.floors.loop import asking
from benchmarks.load.comparison import FASTER
from benchmarks.load.generator import generator
from benchmarks.page import read, render, write
from benchmarks.parts.clients import by_clients
from benchmarks.parts.image_size import by_image_size
from benchmarks.parts.peers import FACADE, FASTAPI, FP32, LITSERVE
from benchmarks.report import BLOCK, main, measured, overview, ratios
from concord.instruments.markdown import filled, significant, table
from concord.server.embedded import EmbeddedServer
from concord_client import Client
from tests.commands import run

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "performance.md"
KIND = "avx2"
MACHINE = {
    "processor": "A processor",
    "kind": KIND,
    "threads": 2,
    "memory_gib": 8,
    "python": "3.11",
    "versions": {"onnxruntime": "1"},
}


BLOCK_OF_NOTHING = {"p50": 1.0, "p90": 1.0, "p99": 1.0, "blocks": [], "statuses": {}}


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
    page = (tmp_path / "report.md").read_text()
    assert render(read(tmp_path / "report.json"), "report") == page == render(report, "report")


def test_numbers_of_other_gpus_stay_on_the_page(report: dict, tmp_path: Path) -> None:
    here, there = {"A GPU": {"about": "here"}}, {"A GPU": {"about": "older"}, "Another GPU": {"about": "there"}}
    write({"machine": MACHINE, "gpu": there}, tmp_path / "page" / f"{KIND}.md")
    write({"machine": MACHINE, "steps": report["steps"], "gpu": here}, tmp_path / "report.md")
    assert run(main, tmp_path / "report.json", tmp_path / "page.md").returncode == 0
    page = (tmp_path / "page" / f"{KIND}.md").read_text()
    assert "here. Numbers" in page and "there. Numbers" in page and "older" not in page and "steps" in page


def test_parts_of_another_machine_are_put_on_the_page(report: dict, tmp_path: Path) -> None:
    own = tmp_path / "page" / f"{KIND}.md"
    write(report, own)
    elsewhere = {"machine": MACHINE | {"processor": "Another"}, "gpu": {"A GPU": {"about": "there"}}}
    write(elsewhere, tmp_path / "report.md")
    assert run(main, tmp_path / "report.json", tmp_path / "page.md", "--only", "gpu").returncode == 0
    assert render(report | {"gpu": elsewhere["gpu"]}, KIND) == own.read_text()


def test_what_another_version_measured_and_this_one_cannot_read_is_left_out_and_named(
    report: dict, capsys: pytest.CaptureFixture[str]
) -> None:
    older = {"demo": {"milliseconds": {}}, "steps": {"points": [{"at": 1}]}}
    page = render(report | older, KIND)
    assert "## Cost by image size" in page and "## Cost by diffusion steps" not in page and "## Demo" not in page
    said = capsys.readouterr().err
    assert "report: demo is left out, measure it again: over_bare: Field required" in said and "report: steps" in said


def peers(faster: float, smaller: float, name: str = FACADE) -> dict:
    """Numbers of the part `peers` of a system that is so many times as fast, and as small, as the other servers."""
    systems = {each: {**BLOCK_OF_NOTHING, "requests_per_second": 10.0} for each in (LITSERVE, FASTAPI)}
    systems[name] = {**BLOCK_OF_NOTHING, "requests_per_second": 10 * faster}
    over = {"ratio": faster, "low": faster, "high": faster, "verdict": FASTER}
    return {
        "block_seconds": 1.0,
        "clients": {1: systems},
        "over": {1: {name: {each: {"requests_per_second": over} for each in (LITSERVE, FASTAPI)}}},
        "request": "a request",
        "memory_mib": {LITSERVE: 100.0, FASTAPI: 100.0, name: 100 / smaller},
    }


def of_kind(kind: str, **parts: dict) -> dict:
    return {"machine": MACHINE | {"kind": kind}, "measured": {"peers": "2026-01-02 03:04"}, **parts}


def put(report: dict, folder: Path, *options: str) -> str:
    """The page of all kinds after a report was put there."""
    (folder / "report.json").write_text(json.dumps(report))
    finished = run(main, folder / "report.json", folder / "docs" / "page.md", *options)
    assert finished.returncode == 0, finished.stderr
    return (folder / "docs" / "page.md").read_text()


def test_every_kind_of_processor_has_a_page_and_what_holds_on_all_is_the_least(tmp_path: Path) -> None:
    (tmp_path / "README.md").write_text(f"before\n<!-- {BLOCK}: begin -->\nold\n<!-- {BLOCK}: end -->\nafter\n")
    put(of_kind("avx2", peers=peers(1.25, 2)), tmp_path)
    page = put(of_kind("amx", peers=peers(1.5, 1.75)), tmp_path)
    assert "| [`amx`](page/amx.md) | A processor, 2 threads, 8 GiB | 2026-01-02 |" in page
    assert "| instead of Concord | measure | `amx` | `avx2` | the least |" in page
    assert "| LitServe | demo weights, 1 client, requests/s | 1.50 | 1.25 | 1.25 |" in page
    assert "| FastAPI | demo weights, memory, MiB | 1.75 | 2.00 | 1.75 |" in page
    for kind in ("amx", "avx2"):
        assert f"]({kind}_peers.png)" in (tmp_path / "docs" / "page" / f"{kind}.md").read_text()
        assert (tmp_path / "docs" / "page" / f"{kind}_peers.png").is_file()
    readme = (tmp_path / "README.md").read_text()
    assert readme.startswith("before") and readme.endswith("after\n") and "old" not in readme
    assert "| demo weights, 1 client, requests/s | 1.25 | 1.25 | `amx`, `avx2` |" in readme


def test_a_second_run_takes_the_place_of_the_first_of_its_kind_only(tmp_path: Path) -> None:
    for kind, faster in (("amx", 2.0), ("avx2", 3.0), ("amx", 4.0)):
        page = put(of_kind(kind, peers=peers(faster, 1)), tmp_path)
    assert "| LitServe | demo weights, 1 client, requests/s | 4.00 | 3.00 | 3.00 |" in page


def test_what_was_not_measured_on_a_kind_is_left_empty(tmp_path: Path) -> None:
    put(of_kind("avx2", peers=peers(2, 1, FP32)), tmp_path)
    put(of_kind("avx512"), tmp_path)
    page = put(of_kind("amx", peers=peers(3, 1)), tmp_path)
    assert "| instead of Concord | measure | `amx` | `avx2` | the least |" in page
    assert "| LitServe | demo weights, 1 client, requests/s | 3.00 |  | 3.00 |" in page
    assert "| LitServe | demo weights in FP32, 1 client, requests/s |  | 2.00 | 2.00 |" in page


def test_parts_of_a_kind_without_a_page_get_one(report: dict, tmp_path: Path) -> None:
    here = of_kind("amx", peers=peers(2, 1), steps=report["steps"])
    put(here, tmp_path, "--only", "peers")
    page = (tmp_path / "docs" / "page" / "amx.md").read_text()
    assert "Other servers" in page and "2026-01-02 03:04" in page and "steps" not in page


def test_parts_that_another_machine_measured_are_named_with_it(report: dict, tmp_path: Path) -> None:
    put(of_kind("amx", peers=peers(2, 1)), tmp_path)
    other = of_kind("amx", steps=report["steps"])
    other["machine"] = {**other["machine"], "processor": "Another processor"}
    page = tmp_path / "docs" / "page" / "amx.md"
    put(other, tmp_path, "--only", "steps")
    assert "- Measured on Another processor, 2 threads, 8 GiB: steps." in page.read_text()
    put(of_kind("amx", steps=report["steps"]), tmp_path, "--only", "steps")
    assert "Another processor" not in page.read_text()


@pytest.mark.parametrize("path", sorted(PAGE.with_suffix("").glob("*.json")), ids=lambda path: path.stem)
def test_a_page_in_docs_is_made_from_the_numbers_beside_it(path: Path) -> None:
    report = read(path)
    assert report["machine"]["kind"] == path.stem
    assert render(report, path.stem) == path.with_suffix(".md").read_text()


def test_the_page_of_all_kinds_and_the_readme_are_made_from_their_numbers() -> None:
    reports, readme = measured(PAGE), (ROOT / "README.md").read_text()
    again = "run: python -m benchmarks.report docs/performance/KIND.json docs/performance.md"
    assert overview(reports, PAGE.stem) == PAGE.read_text(), again
    assert filled(readme, {BLOCK: ratios(reports)}) == readme, again


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
