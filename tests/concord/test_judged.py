"""What is known of a network's forms on kinds of processor, and which kinds a processor is."""

import json
import math
from pathlib import Path

import pytest

from concord import judged, processor
from concord.judged import Judged
from concord.variants import Variant

GOOD = Judged(snr_db=45.0, least_snr_db=30.0, time=0.5)


@pytest.fixture
def variant(tmp_path: Path) -> Variant:
    folder = tmp_path / "net"
    (folder / "configs").mkdir(parents=True)
    (folder / "1").mkdir()
    (folder / "1" / "model.json").write_text(json.dumps({"onnx_sha256": "of this one"}))
    return Variant("net", "bf16", folder / "configs" / "bf16.pbtxt")


@pytest.mark.parametrize(
    ("flags", "kinds"),
    [
        ("avx2 fma", ["avx2"]),
        ("avx2 fma avx_vnni", ["avx_vnni", "avx2"]),
        ("avx2 fma avx512f avx512bw avx512dq avx512vl avx512_vnni", ["avx512_vnni", "avx512", "avx2"]),
        ("avx2 fma amx_tile amx_bf16", ["avx2"]),
    ],
)
def test_a_processor_is_of_every_kind_whose_flags_it_has(flags: str, kinds: list[str]) -> None:
    assert list(processor.of_flags(flags.split())) == kinds


def test_a_processor_of_no_known_kind_has_the_name_of_its_architecture() -> None:
    [kind] = processor.of_flags([])
    assert kind not in processor.KINDS and kind


def test_what_was_written_is_read_for_its_kind_alone(variant: Variant) -> None:
    judged.write(variant, "avx512", GOOD)
    assert judged.read(variant, ["amx", "avx512", "avx2"]) == GOOD
    assert judged.read(variant, ["avx2"]) is None


def test_the_fastest_kind_of_which_anything_is_known_counts(variant: Variant) -> None:
    judged.write(variant, "avx2", GOOD)
    judged.write(variant, "amx", Judged(10.0, 30.0, 0.3))
    assert judged.read(variant, ["amx", "avx2"]) == Judged(10.0, 30.0, 0.3)


def test_what_was_seen_of_another_network_does_not_count(variant: Variant) -> None:
    judged.write(variant, "amx", GOOD)
    (variant.version / "model.json").write_text(json.dumps({"onnx_sha256": "of another one"}))
    assert judged.read(variant, ["amx"]) is None


@pytest.mark.parametrize(
    "content", ["", "[]", '{"profiles": 3}', '{"onnx_sha256": "of this one", "profiles": {"bf16": 1}}']
)
def test_a_file_that_cannot_be_read_says_nothing(variant: Variant, content: str) -> None:
    (variant.version / judged.FILE).write_text(content)
    assert judged.read(variant, ["amx"]) is None


@pytest.mark.parametrize(
    ("seen", "passed"),
    [
        (GOOD, True),
        (Judged(29.9, 30.0, 0.5), False),
        (Judged(math.nan, 30.0, 0.5), False),
        (Judged(45.0, 30.0, 0.5, failed=("pictures",)), False),
    ],
)
def test_answers_that_are_not_close_or_pictures_that_failed_fail(seen: Judged, passed: bool) -> None:
    assert seen.passed is passed
