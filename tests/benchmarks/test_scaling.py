"""The page on how many machines a rate needs: measured, simulated, and made from its numbers and nothing else."""

from collections.abc import Iterator
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import pytest

from benchmarks import page
from benchmarks.load.facade import Facade, serving
from benchmarks.load.generator import generator
from benchmarks.load.identity_model import write_instant
from benchmarks.parts.scaling import (
    PER_HOUR,
    ROWS,
    SAMPLES,
    Check,
    Needed,
    Numbers,
    Subject,
    checked,
    limits,
    planned,
    taken,
)
from benchmarks.parts.scaling import section as section_of
from benchmarks.queueing.simulation import Service
from benchmarks.report import measured
from benchmarks.scaling import AGAIN, PART, main, written
from concord.scenes.encoded import scene_jpeg, scene_mask
from concord.server.embedded import EmbeddedServer, Ports
from tests.benchmarks.test_report import MACHINE
from tests.commands import run

PAGE = Path(__file__).parents[2] / "docs" / "scaling.md"
AT_ONCE = "instant"


@pytest.fixture(scope="module")
def facade(tmp_path_factory) -> Iterator[Facade]:
    """A facade that has two requests answered at a time, before a model that answers at once."""
    folder = tmp_path_factory.mktemp("models")
    write_instant(folder, AT_ONCE)
    with (
        EmbeddedServer([folder], ports=Ports(0, 0, 0)) as server,
        serving(server, "--concurrency", f"{AT_ONCE}=2", "--queue", "5") as facade,
    ):
        yield facade


def test_the_times_of_a_real_server_are_simulated_beside_a_real_load(facade: Facade) -> None:
    places, queue = limits(facade, "instant")
    assert (places, queue) == (2, 5)
    asked = facade.target({"image": scene_jpeg(64, 64), "mask": scene_mask(64, 64)})
    with generator() as asking:
        times = {each: taken(asking, asked, each, 0.5) for each in range(1, places + 1)}
        assert all(len(each) == SAMPLES and each == sorted(each) and each[0] > 0 for each in times.values())
        check = checked(asking, asked, Service(times, queue), 1.0)
    assert sum(check.statuses.values()) > 0 and set(check.statuses) <= {200, 503}
    assert check.measured.keys() == check.simulated.keys() == {"p50", "p90", "p99"}
    assert all(value > 0 for each in (check.measured, check.simulated) for value in each.values())


def test_a_plan_has_more_replicas_for_more_requests_and_none_where_one_alone_is_late() -> None:
    plan = list(planned(Service({1: [1.0, 1.0, 1.1]}, queue=16), requests=1000))
    assert [each.per_hour for each in plan[::2]] == list(PER_HOUR)
    assert all(each.replicas and each.replicas >= each.per_hour / 3600 for each in plan)
    hasty, patient = plan[::2], plan[1::2]
    assert all(one.replicas >= other.replicas for one, other in zip(hasty, patient, strict=True))
    assert [each.replicas for each in hasty] == sorted(each.replicas for each in hasty)
    assert {each.replicas for each in planned(Service({1: [1.0] * 50 + [9.0] * 9}, queue=16), requests=10)} == {None}


def subject(row: str, simulated_p99: float = 1100.0) -> Subject:
    times = {"p50": 500.0, "p90": 800.0, "p99": 1000.0}
    check = Check(2.8, 180.0, {200: 504}, times, times | {"p99": simulated_p99})
    needed = [Needed(1_000, 2, 0.8, 1), Needed(1_000, 5, 2.0, None)]
    return Subject(row, "bf16", {1: [0.4], 2: [0.5]}, 16, check, needed)


def put(folder: Path, *subjects: Subject) -> Path:
    """The path of the page whose numbers are these."""
    report = {"machine": MACHINE, "measured": {PART: "2026-01-02 03:04"}, PART: asdict(Numbers(list(subjects)))}
    page.write(report, folder / "performance" / f"{MACHINE['kind']}.md")
    return folder / "scaling.md"


def test_the_page_tells_machines_and_cost_by_model_and_profile(tmp_path: Path) -> None:
    path = put(tmp_path, subject(ROWS[0]))
    assert run(main, path).returncode == 0
    text = path.read_text()
    model, _, profile = ROWS[0].partition("/")
    # Two at a time, half a second each: four a second.
    assert f"| `{model}` | `{profile}` (bf16) | 2 | 400 | 14400 | 0.0694 | +10 % |" in text
    assert f"| `{model}` | `{profile}` (bf16) | 1 (1) | none are enough |" in text
    assert "Measured 2026-01-02 03:04" in text and "costs 1. That is nobody's price" in text
    assert run(main, path, "--price", "0.5").returncode == 0
    assert "0.0347" in path.read_text() and "| 1 (0.5) |" in path.read_text()


def test_what_the_simulation_did_not_meet_has_no_machines(tmp_path: Path) -> None:
    path = put(tmp_path, subject(ROWS[0], simulated_p99=2000.0))
    assert "not known" in run(main, path, "--rate", "1", "--p99", "2").stdout
    assert run(main, path).returncode == 0
    assert "+100 %" in path.read_text() and "Machines, and in parentheses" not in path.read_text()


def test_the_numbers_are_in_the_report_of_their_kind_too(tmp_path: Path) -> None:
    put(tmp_path, subject(ROWS[0]))
    text = (tmp_path / "performance" / f"{MACHINE['kind']}.md").read_text()
    assert section_of(Numbers([subject(ROWS[0])])) in text and "504 x 200" in text


def test_a_rate_and_a_p99_are_answered_without_a_page(tmp_path: Path) -> None:
    path = put(tmp_path, replace(subject(ROWS[0]), times={1: np.full(5, 0.4).tolist()}))
    asked = run(main, path, "--rate", "1", "--p99", "2")
    assert asked.returncode == 0 and "| 1 |" in asked.stdout and not path.exists()
    assert "none are enough" in run(main, path, "--rate", "1", "--p99", "0.3").stdout


@pytest.mark.parametrize("flags", [["--rate", "1"], ["--rate", "0", "--p99", "1"], ["--price", "nan"]])
def test_a_wrong_question_is_refused_in_words(tmp_path: Path, flags: list[str]) -> None:
    finished = run(main, tmp_path / "scaling.md", *flags)
    assert finished.returncode == 2 and flags[0] in finished.stderr


def test_the_page_in_docs_is_made_from_the_numbers_there() -> None:
    assert written(measured(PAGE.with_name("performance.md"))) == PAGE.read_text(), f"run: {AGAIN}"
