"""The image-level gate: real pictures of real servers, and the measures of pictures whose difference is known."""

import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import numpy_helper

from benchmarks.parts import gates as forms
from concord.errors import InvalidSetting
from concord.gates.gate import FAILED, PASSED, Served, gates, main, served, tables, verdict
from concord.gates.pictures import HeldOut, answered, gated
from concord.gates.thresholds import GATES, in_words, measures
from concord.instruments.started_server import serving
from concord.server.embedded import EmbeddedServer
from concord.server.installation import MODEL_REPOSITORIES
from concord.variants import DEFAULT, PRECISIONS, variants
from concord_client import Pipeline, ServerError
from tests.tuning.harmonizing import MODELS, NETWORK, PIPELINE, add_variant, network, write_harmonizing

HARMONIZING = Pipeline("any", "harmonize", "any", required=frozenset({"IMAGE", "MASK"}))
SEGMENTING = Pipeline("any", "segment", "any", required=frozenset({"IMAGE", "TEXT"}))


@pytest.fixture(scope="module")
def held_out() -> HeldOut:
    return HeldOut.draw(scenes=2, photographs=1)


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    """The pipeline with the project's network, and as the profile `noised` with other weights."""
    write_harmonizing(tmp_path)
    add_variant(tmp_path, "noised", noised(onnx.load(MODELS / NETWORK / "1" / "model.onnx")), "int8")
    return tmp_path


@pytest.fixture
def dimming(tmp_path: Path) -> Path:
    """The pipeline with a tiny network, and as the profile `broken` with one whose answers are not finite."""
    write_harmonizing(tmp_path, network())
    add_variant(tmp_path, "broken", network(broken=True))
    return tmp_path


def noised(model: onnx.ModelProto) -> onnx.ModelProto:
    generator = np.random.default_rng(0)
    for tensor in model.graph.initializer:
        weights = numpy_helper.to_array(tensor)
        if np.issubdtype(weights.dtype, np.floating) and weights.ndim > 1:
            noise = generator.normal(0, weights.std(), weights.shape).astype(weights.dtype)
            tensor.CopyFrom(numpy_helper.from_array(weights + noise, tensor.name))
    return model


def test_the_default_keeps_its_own_gate(server: EmbeddedServer, held_out: HeldOut) -> None:
    pipelines = gated(MODEL_REPOSITORIES)
    changed = served(DEFAULT, pipelines.values(), variants(MODEL_REPOSITORIES))
    reference, answers = (answered(server.grpc_url, pipelines.values(), held_out) for _ in range(2))
    gate = verdict(DEFAULT, changed, held_out, reference, answers)
    assert gate.failed == [] and gate.precisions == dict.fromkeys(pipelines, "fp32")
    assert {row.model for row in gate.tensors} == {each.model for found in changed for each in found.variants}
    by_mask, by_words, drawn = (
        {name for name, pipeline in pipelines.items() if pipeline.takes(given)}
        for given in ({"IMAGE", "MASK"}, {"IMAGE", "TEXT"}, {"TEXT"})
    )
    by_words -= by_mask
    assert len(by_mask) >= 2 and len(by_words) >= 2 and drawn
    assert {(row.pipeline, row.pictures, row.count) for row in gate.measures} == {
        *((name, "scenes", 2) for name in by_mask | by_words | drawn),
        *((name, "photographs", 1) for name in by_mask),
        *((name, "large scenes", 2) for name in by_mask if pipelines[name].task == HARMONIZING.task),
    }
    assert FAILED not in tables(gate) and tables(gate).count(PASSED) == len(gate.measures) + len(gate.tensors)


def test_a_server_elsewhere_is_compared_with_the_repository(dimming: Path) -> None:
    with serving([dimming]) as server:
        gate = gates(["broken"], 1, [dimming], url=server.grpc_url)["broken"]
    assert gate.failed == [] and [row.value for row in gate.measures if row.measure == "psnr"] == [None] * 2


def test_a_perturbed_network_fails_and_the_measure_is_named(
    repository: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["noised", "--pictures", "1", "--model-repository", str(repository)]) == 1
    shown = capsys.readouterr()
    assert f"gates: noised failed: {PIPELINE.name}, 1 photographs: psnr" in shown.err and "fmse_worse" in shown.err
    assert f"| {PIPELINE.name} | int8 | 1 photographs | psnr |" in shown.out and FAILED in shown.out


def test_a_network_whose_answer_is_not_finite_fails_and_is_named(dimming: Path) -> None:
    [failure, *_] = gates(["broken"], 1, [dimming])["broken"].failed
    assert failure.startswith(f"{PIPELINE.name}: ")


def test_a_profile_that_is_not_there_is_named(dimming: Path) -> None:
    with pytest.raises(InvalidSetting, match=r"no file of 'none' has been made; allowed: broken, default"):
        gates(["none"], 1, [dimming])
    (dimming / NETWORK / "1" / "model.broken.onnx").unlink()
    with pytest.raises(InvalidSetting, match=r"no file of 'broken' has been made; allowed: default"):
        gates(["broken"], 1, [dimming])


def test_a_pipeline_that_lacks_a_file_has_failed(dimming: Path, held_out: HeldOut) -> None:
    (dimming / NETWORK / "1" / "model.broken.onnx").unlink()
    [pipeline] = gated([dimming]).values()
    gate = verdict("broken", [Served(pipeline, (variants([dimming])[NETWORK]["broken"],))], held_out, {}, {})
    assert gate.failed == [f"{NETWORK}: not made: there is no model.broken.onnx"] and gate.measures == []


def test_an_error_of_the_default_is_nothing_to_compare_with(dimming: Path, held_out: HeldOut) -> None:
    [(name, pipeline)] = gated([dimming]).items()
    pipelines = [Served(pipeline, (variants([dimming])[NETWORK][DEFAULT],))]
    with pytest.raises(ServerError, match="it broke"):
        verdict(DEFAULT, pipelines, held_out, {name: ServerError("it broke")}, {name: ServerError("too")})


def test_the_measures_are_those_of_their_definitions(held_out: HeldOut) -> None:
    scenes = replace(held_out, photographs=[], large_scenes=[])
    truths = [scene.truth for scene in scenes.scenes]
    default = [np.where(truth < 128, truth + 2, truth - 2).astype(np.uint8) for truth in truths]
    worse = [np.where(truth < 128, truth + 3, truth - 3).astype(np.uint8) for truth in truths]
    psnr, fmse = measures(HARMONIZING, scenes, {"scenes": default}, {"scenes": worse}, GATES["int8"])
    assert psnr.value == pytest.approx(20 * np.log10(255)) and psnr.passed
    assert psnr.means == {"mean": 1.0, "largest": 1.0}
    assert fmse.value == pytest.approx(9 / 4 - 1) and not fmse.passed
    assert in_words(fmse) == "any, 2 scenes: fmse_worse +125.0%, allowed ≤ +5.0%"


def test_patches_that_show_fail_and_smooth_changes_pass(held_out: HeldOut) -> None:
    composite, mask = np.full((512, 512, 3), 90, np.uint8), np.full((512, 512), 255, np.uint8)
    scene = replace(held_out.large_scenes[0], composite=composite, mask=mask)
    large = replace(held_out, scenes=[], photographs=[], large_scenes=[scene])
    rows = np.arange(512)[:, None, None]
    smooth = composite + (40 + 30 * np.sin(rows / 90)).astype(np.uint8)
    tiled = smooth + (rows % 8 < 4).astype(np.uint8) * np.uint8(4)
    without, with_grid = (
        measures(HARMONIZING, large, {"large scenes": [smooth]}, {"large scenes": [each]}, GATES["int8"])
        for each in (smooth, tiled)
    )
    assert [each.passed for each in without] == [True] and [each.passed for each in with_grid] == [False]


def test_forms_are_made_where_they_are_missing_or_of_another_network(tmp_path: Path, monkeypatch) -> None:
    made = []

    def build(model: str, folder: Path) -> str:
        version = folder / model / "1"
        for path in (version / "model.noised.onnx", version / "model.noised.onnx.json"):
            shutil.copy(tmp_path / "noised" / path.relative_to(folder), path)
        made.append(model)
        return model

    (tmp_path / "noised").mkdir()
    write_harmonizing(tmp_path / "noised", network())
    add_variant(tmp_path / "noised", "noised", network())
    monkeypatch.setattr(forms, "BUILDERS", {"noised": build})
    monkeypatch.setattr(forms, "MADE", ("*.noised.*",))
    for _ in range(2):
        forms.make_forms(tmp_path / "noised", tmp_path / "forms")
    assert made == [NETWORK]
    (tmp_path / "forms" / NETWORK / "1" / "model.noised.onnx.json").unlink()
    forms.make_forms(tmp_path / "noised", tmp_path / "forms")
    assert made == [NETWORK] * 2
    for repository in ("noised", "forms"):
        (tmp_path / repository / NETWORK / "1" / "model.onnx").unlink()
    forms.make_forms(tmp_path / "noised", tmp_path / "forms")
    assert made == [NETWORK] * 2


def test_every_precision_has_thresholds() -> None:
    assert tuple(GATES) == PRECISIONS


def test_a_lost_part_of_a_mask_is_a_loss_of_iou_and_a_gained_one_is_none(held_out: HeldOut) -> None:
    found = [scene.mask for scene in held_out.scenes]
    none = [np.zeros_like(mask) for mask in found]
    [lost] = measures(SEGMENTING, held_out, {"scenes": found}, {"scenes": none}, GATES["int8"])
    [gained] = measures(SEGMENTING, held_out, {"scenes": none}, {"scenes": found}, GATES["int8"])
    assert (lost.value, lost.passed) == (1.0, False)
    assert (gained.value, gained.passed) == (-1.0, True)
