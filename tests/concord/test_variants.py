import hashlib
import json
import os
from pathlib import Path

import pytest

from concord.errors import ServerFailure
from concord.variants import DEFAULT, Comparison, Variant, coarsest, outdated, variants

NAN = float("nan")
FAR = {"batch": 1, "difference": 0.5, "magnitude": 1.0}
PASSED = [{"batch": 1, "difference": 0.02, "magnitude": 2.0}, {"batch": 2, "difference": 1e-9, "magnitude": 0.1}]


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    """`unet` with its default, the profile `openvino` whose file has the default's name, and `int8`, not made."""
    folder = tmp_path / "unet"
    (folder / "configs").mkdir(parents=True)
    (folder / "1").mkdir()
    for config, file in (("config", "model.onnx"), ("configs/openvino", "model.xml"), ("configs/int8", "model.a.xml")):
        (folder / f"{config}.pbtxt").write_text(f'name: "unet" default_model_filename: "{file}"')
    (folder / "1" / "model.onnx").write_bytes(b"network")
    (folder / "1" / "model.json").write_text('{"precision": "fp32", "checkpoint": "unet"}')
    (folder / "1" / "model.xml").touch()
    write_record(folder / "1" / "model.xml.json")
    (tmp_path / "decode").mkdir()
    (tmp_path / "decode" / "config.pbtxt").write_text('backend: "python"')
    return tmp_path


def write_record(path: Path, **others: object) -> None:
    record = {
        "precision": "fp16",
        "onnx_sha256": hashlib.sha256(b"network").hexdigest(),
        "tolerance": 0.01,
        "differences": PASSED,
    }
    path.write_text(json.dumps(record | others))


def openvino(repository: Path, **others: object) -> Variant:
    if others:
        write_record(repository / "unet" / "1" / "model.xml.json", **others)
    return variants([repository])["unet"]["openvino"]


def test_networks_have_their_profiles_and_the_default_first(repository):
    found = variants([repository])
    assert {name: list(profiles) for name, profiles in found.items()} == {"unet": [DEFAULT, "int8", "openvino"]}


def test_a_file_has_a_record_of_its_own_even_where_the_default_has_its_name(repository):
    found = variants([repository])["unet"]
    assert found[DEFAULT].record["checkpoint"] == "unet"
    assert found["openvino"].precision == "fp16" and found["openvino"].problem() == ""
    assert (found[DEFAULT].precision, found["int8"].precision) == ("fp32", "")


def test_a_configuration_can_compute_more_coarsely_than_the_file_is(repository):
    config = openvino(repository).config
    config.write_text(config.read_text() + ' parameters { key: "HINT_BF16" value { string_value: "YES" } }')
    assert openvino(repository).precision == "bf16"
    assert openvino(repository, precision="int8").precision == "int8"


def test_the_worst_comparison_counts(repository):
    assert openvino(repository).comparison == Comparison("difference", 0.02, 0.02)
    ratios = {"snr_db": [30.0, 12.5, 40.0], "least_snr_db": 12.0}
    assert openvino(repository, **ratios).comparison == Comparison("snr", 12.5, 12.0)
    assert openvino(repository, **ratios).problem() == ""


def test_what_is_not_made_and_what_is_made_of_another_network_is_not_trusted(repository):
    assert variants([repository])["unet"]["int8"].problem() == "not made: there is no model.a.xml"
    assert "stale: model.xml" in openvino(repository, onnx_sha256=None).problem()
    (repository / "unet" / "1" / "model.onnx").write_bytes(b"another")
    assert "stale: model.xml" in openvino(repository, tolerance=0.01).problem()
    (repository / "unet" / "1" / "model.onnx").unlink()
    assert openvino(repository, onnx_sha256=None).problem() == ""


@pytest.mark.parametrize(
    ("record", "problem"),
    [
        ({"differences": []}, "model.xml was not compared with the network that it was made of"),
        ({"differences": [FAR, *PASSED]}, "difference of its answers is 5.00e-01, allowed ≤ 1.00e-02"),
        ({"differences": [*PASSED, FAR | {"difference": NAN}]}, "difference of its answers is nan, allowed ≤ 1.00e-02"),
        ({"snr_db": [30.0, 11.0], "least_snr_db": 12}, "snr of its answers is 11.0 dB, allowed ≥ 12.0 dB"),
        ({"snr_db": [30.0, NAN], "least_snr_db": 12}, "snr of its answers is nan dB, allowed ≥ 12.0 dB"),
    ],
)
def test_what_was_not_compared_well_is_not_trusted(repository, record, problem):
    assert openvino(repository, **record).problem() == problem


def test_a_damaged_record_is_none(repository):
    (repository / "unet" / "1" / "model.xml.json").write_text("{")
    assert openvino(repository).problem() == "model.xml has no record"


def test_a_damaged_configuration_is_named(repository):
    (repository / "unet" / "configs" / "int8.pbtxt").write_text("backend: [")
    with pytest.raises(ServerFailure, match=r"unet/int8\.pbtxt"):
        _ = variants([repository])["unet"]["int8"].file


def test_the_coarsest_of_precisions():
    assert [coarsest(each) for each in ([], ["fp32", ""], ["fp16", "int8", "fp32"])] == ["fp32", "fp32", "int8"]


def test_a_choice_is_outdated_when_a_file_is_newer_or_the_chosen_one_is_gone(repository):
    tuned = repository / "unet" / "configs" / "tuned.pbtxt"
    tuned.write_text('default_model_filename: "model.xml"')
    written = tuned.stat().st_mtime
    for path in (repository / "unet" / "1").iterdir():
        os.utime(path, (written - 9, written - 9))
    assert list(outdated([repository])) == []
    os.utime(repository / "unet" / "1" / "model.onnx", (written + 9, written + 9))
    assert list(outdated([repository])) == ["unet"]
    os.utime(tuned, (written + 99, written + 99))
    assert list(outdated([repository])) == []
    (repository / "unet" / "1" / "model.xml").unlink()
    assert list(outdated([repository])) == ["unet"]
