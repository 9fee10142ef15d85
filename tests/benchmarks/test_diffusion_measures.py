"""The arithmetic of the diffusion's benchmark."""

import numpy as np
import pytest

from benchmarks.floors.diffusion import Networks, feeds
from concord.instruments.memory import model_of
from concord.instruments.stages import mean_batch
from concord.instruments.timing import StepTimes, settled
from concord.server.installation import STUB
from concord_client import Progress


def unet(steps: int, runs: int) -> dict:
    """Statistics in protobuf's JSON, which leaves zeros out."""
    counts = {"inference_count": str(steps), "execution_count": str(runs)}
    return {"unet": {name: count for name, count in counts.items() if count != "0"}}


def test_the_mean_batch_is_steps_over_runs_between_the_readings() -> None:
    assert mean_batch("unet", [(unet(0, 0), unet(6, 4))]) == 1.5
    assert mean_batch("unet", [(unet(0, 0), unet(6, 4)), (unet(10, 8), unet(30, 14))]) == 2.6


def test_the_time_of_a_step_leaves_the_first_one_out(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = iter([0.0, 1.0, 1.5, 2.5, 10.0, 13.0, 13.25, 13.5])
    monkeypatch.setattr("time.perf_counter", lambda: next(clock))
    times = StepTimes()
    for step in (0, 1, 2, 3) * 2:
        times(Progress(step, 3))
    assert times.milliseconds == [750.0, 250.0]


def test_a_bare_harmonization_runs_what_the_loop_runs() -> None:
    ran: list[str] = []
    networks = Networks(*(lambda name=name: ran.append(name) for name in ("encode", "denoise", "decode")))
    networks.harmonize(2, lambda progress: ran.append(f"{progress.step} of {progress.total}"))
    assert ran == ["encode", "denoise", "1 of 2", "denoise", "2 of 2", "decode"]


def test_bare_inputs_have_the_sizes_of_the_loop_s() -> None:
    shapes = {name: (value.shape, value.dtype) for name, value in feeds(256).items()}
    assert shapes == {
        "COMPOSITE": ((1, 256, 256, 3), np.uint8),
        "LATENT": ((1, 4, 32, 32), np.float32),
        "TIMESTEP": ((1, 1), np.float32),
        "LATENT_MASK": ((1, 1, 32, 32), np.float32),
        "COMPOSITE_LATENT": ((1, 4, 32, 32), np.float32),
    }


def test_a_count_is_settled_when_it_stays_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [0.0]
    monkeypatch.setattr("time.monotonic", lambda: now[0])
    monkeypatch.setattr("time.sleep", lambda seconds: now.__setitem__(0, now[0] + seconds))
    counted = {0.0: 3, 0.5: 4, 1.2: 5}
    assert settled(lambda: next(count for since, count in reversed(counted.items()) if now[0] >= since), 1.0) == 5
    assert now[0] == pytest.approx(2.2, abs=0.1)


def test_a_stub_is_known_by_its_model() -> None:
    assert model_of([f"/tmp/x/backends/python/{STUB}", "/tmp/x/models-0/unet/1/model.onnx", "x-1"]) == "unet"
    assert model_of(["tritonserver", "--model-repository=/tmp/x/models-0/unet/1"]) == ""
    assert model_of([]) == ""
