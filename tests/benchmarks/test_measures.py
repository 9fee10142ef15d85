"""The benchmark's arithmetic."""

import sys

import numpy as np
import psutil
import pytest

from concord.gates.metrics import foreground_mse, psnr
from concord.instruments.memory import Peak
from concord.instruments.stages import stage_milliseconds
from concord.instruments.timing import in_turns, percentiles
from concord.masks import intersection_over_union


def statistics(answered: int, nanoseconds: int) -> dict:
    spent = {"count": str(answered), "ns": str(nanoseconds)}
    stats = {"success": spent, "queue": spent, "compute_infer": spent}
    return {"inference_stats": stats if answered else {}}


def test_a_stage_costs_what_it_took_between_the_readings_for_each_request() -> None:
    before = {"cris": statistics(1, 5_000_000), "idle": statistics(0, 0)}
    after = {"cris": statistics(5, 25_000_000), "idle": statistics(0, 0)}
    assert stage_milliseconds(before, after) == {"cris": pytest.approx(10.0)}


def test_calls_are_taken_in_turns_to_and_fro_and_the_first_round_does_not_count() -> None:
    order: list[str] = []
    times = in_turns({"a": lambda: order.append("a"), "b": lambda: order.append("b")}, rounds=2, warm=1)
    assert order == ["a", "b", "b", "a", "a", "b"]
    assert {name: len(values) for name, values in times.items()} == {"a": 2, "b": 2}
    assert percentiles([1.0, 2.0, 3.0])["p50"] == 2.0


def test_the_peak_of_memory_is_seen() -> None:
    script = """
import sys
sys.stdin.readline()
block = bytearray(60 << 20)
block[::4096] = b"x" * len(block[::4096])
print("taken", flush=True)
sys.stdin.readline()
"""
    with psutil.Popen([sys.executable, "-c", script], stdin=-1, stdout=-1, text=True) as process:
        with Peak([process]) as peak:
            process.stdin.write("\n")
            process.stdin.flush()
            process.stdout.readline()
            while peak.bytes - peak.before < 55 << 20:
                assert process.poll() is None
        process.communicate("\n")
    assert peak.bytes - peak.before < 90 << 20


def test_errors_count_the_foreground_only() -> None:
    truth = np.full((4, 4, 3), 100, np.uint8)
    picture = truth.copy()
    picture[0] = 110
    picture[3] = 0
    mask = np.zeros((4, 4), np.uint8)
    mask[:2] = 255
    assert foreground_mse(picture, truth, mask) == 50
    assert psnr(truth, truth) == float("inf")
    assert psnr(picture, truth) == pytest.approx(10 * np.log10(255**2 / 2525))


def test_overlap_of_two_empty_masks_is_perfect() -> None:
    empty, full = np.zeros((2, 2), np.uint8), np.full((2, 2), 255, np.uint8)
    assert intersection_over_union(empty, empty) == 1
    assert intersection_over_union(empty, full) == 0
