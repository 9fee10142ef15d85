"""What networks that draw cost: a small one, really exported and run, and a loop in the real server."""

import json
from collections.abc import Collection, Iterator
from functools import partial
from pathlib import Path

import pytest
import torch

from benchmarks.family import forms
from benchmarks.family.apart import apart
from benchmarks.family.forms import EXACT, Row, measured
from benchmarks.family.loops import SR, at_once, overhead
from benchmarks.family.networks import publish_alone, publish_ldm_sr, served
from benchmarks.family.subject import Subject, sample
from benchmarks.family.subjects import SUBJECTS
from benchmarks.floors.forms import OPENVINO_INT8
from benchmarks.floors.published import serving
from benchmarks.floors.side_by_side import SideBySide
from benchmarks.parts import family
from benchmarks.parts.family import Numbers, section
from concord.instruments.markdown import significant
from concord.variants import DEFAULT
from export.networks import declared
from tests.export import small

SMALL = Subject(
    name="diffir_s2_inpainting",
    network="diffir",
    publish=partial(publish_alone, name="diffir", sizes=small.DIFFIR),
    eager=partial(served, "diffir", small.DIFFIR),
    classes="published layout",
    goal=2.0,
    side=64,
)
LOST = Subject("diffir_s2_inpainting_places_big", "diffir", partial(publish_alone, name="diffir"), SMALL.eager, "none")


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Row | str]:
    """A small network in two forms, and one that cannot be exported."""
    place = tmp_path_factory.mktemp("family") / "place"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(forms, "PROFILES", {EXACT: DEFAULT, OPENVINO_INT8: "int8"})
        rows = dict(measured([LOST, SMALL], place, rounds=2))
    assert not place.exists()
    return rows


def test_a_row_has_the_time_the_memory_the_size_and_the_fidelity_of_every_form(found: dict[str, Row | str]) -> None:
    row = found[SMALL.name]
    assert isinstance(row, Row) and row.problems == {} and list(row.forms) == [EXACT, OPENVINO_INT8]
    exact, int8 = row.forms.values()
    assert row.shape == "1x64x64x3" and row.eager_mib > 0
    assert row.millions == pytest.approx(sum(each.numel() for each in small.diffir().parameters()) / 1e6)
    assert all(form.peak_mib > 0 and form.eager_over > 0 for form in row.forms.values())
    assert exact.snr_db is None and exact.megabytes > 4 * row.millions
    assert int8.snr_db is not None and 5 < int8.snr_db < 80


def test_what_cannot_be_measured_is_said_and_the_others_are(found: dict[str, Row | str]) -> None:
    assert found.keys() == {LOST.name, SMALL.name}
    assert str(found[LOST.name]).startswith("TypeError: publish_alone() missing 1 required")


@pytest.fixture
def rows(found: dict[str, Row | str], monkeypatch: pytest.MonkeyPatch) -> None:
    """What is measured: these, if any are asked for, and then the run is interrupted."""

    def interrupted(rows: Collection[str], *_given: object) -> Iterator[tuple[str, Row | str]]:
        if rows:
            yield from found.items()
            raise KeyboardInterrupt

    monkeypatch.setattr(family, "measurements", interrupted)


def test_an_interrupted_run_keeps_what_it_has(rows: None, found: dict[str, Row | str], tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt):
        family.measure(output=tmp_path)
    kept = family.measure([], output=tmp_path)
    assert kept == Numbers({SMALL.name: found[SMALL.name]}, problems={LOST.name: found[LOST.name]})


def test_numbers_of_another_machine_are_not_kept(rows: None, tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt):
        family.measure(output=tmp_path)
    path = tmp_path / family.KEPT
    machine, numbers = json.loads(path.read_text())
    path.write_text(json.dumps([machine | {"processor": "another"}, numbers]))
    assert family.measure([], output=tmp_path) == Numbers()


def test_the_section_has_every_form_and_holds_the_fastest_against_the_goal(found: dict[str, Row | str]) -> None:
    numbers = Numbers()
    for name, each in found.items():
        numbers.add(name, each)
    numbers.add("requests_ldm", SideBySide(4, {"in turn": {"p50": 10.0}, "at once": {"p50": 8.0}}, 0.8, 2.5))
    text = section(numbers)
    form, fastest = max(found[SMALL.name].forms.items(), key=lambda item: item[1].eager_over)
    assert f"| `{SMALL.name}` | {form} | {significant(fastest.eager_over)} | 2.00 |" in text
    assert text.count("| `diffir` | 1x64x64x3 |") == 3
    assert "| `ldm` | 4 | 10.0 | 8.00 | 0.800 | 2.50 |" in text
    assert f"- `{LOST.name}`: TypeError" in text


@pytest.mark.parametrize("subject", SUBJECTS, ids=lambda subject: subject.name)
def test_pytorch_runs_the_network_that_is_exported(subject: Subject) -> None:
    """On no device: published networks have gigabytes."""
    model = declared(subject.network)
    feeds = {name: torch.from_numpy(each).to("meta") for name, each in sample(model, subject.side).items()}
    with torch.device("meta"), torch.no_grad():
        answer = subject.eager()(*(feeds[tensor.name] for tensor in model.inputs))
    answers = answer if isinstance(answer, tuple) else (answer,)
    assert [each.shape for each in answers] == [(1, *tensor.at(subject.side)) for tensor in model.outputs]


def test_a_loop_is_held_against_its_bare_networks_and_requests_at_once_against_those_in_turn(tmp_path: Path) -> None:
    models = tmp_path / "models"
    with apart() as process:
        process.run(publish_ldm_sr, models, small.LDM_SR)
    with serving(models, only={path.name for path in models.iterdir()}) as server:
        over = overhead(server, models, rounds=9, steps=2, window=32)
        together = at_once(SR, server, models, rounds=1, steps=2)
    assert over.over_bare == over.milliseconds["ldm_sr"]["p50"] / over.milliseconds["bare"]["p50"] > 1
    assert together.requests == 4 and 1 <= together.mean_unet_batch <= 4 and together.at_once_over_in_turn > 0
    assert f"takes {over.over_bare:.3f} times the bare networks" in section(Numbers(overhead=over))
