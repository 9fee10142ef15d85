"""The measurements on a GPU, as far as they run without one."""

import json
from dataclasses import asdict

import numpy as np
import pytest
import torch
from torch import nn

from benchmarks.floors.diffusion import feeds
from benchmarks.gpu import FOLDER
from benchmarks.gpu.engines import decibels, in_onnxruntime, in_pytorch
from benchmarks.gpu.networks import Engines
from benchmarks.gpu.service import Rate, Served
from benchmarks.parts import gpu
from concord.repository.profiles import cuda
from concord.server.installation import MODEL_REPOSITORIES
from concord.variants import DEFAULT, variants
from export.networks.unet import ServedUnet
from tests.export import small_diffusion


def test_pytorch_in_half_answers_nearly_what_it_answers_in_full() -> None:
    network = ServedUnet(small_diffusion.unet(), torch.randn(5, small_diffusion.WIDTH))
    inputs = {name: value for name, value in feeds(64).items() if name != "COMPOSITE"}
    expected = in_pytorch(network, inputs, "cpu", half=False)()
    assert 30 < decibels(in_pytorch(network, inputs, "cpu", half=True)(), expected) < 100


def test_onnx_runtime_runs_a_network_with_the_options_of_its_profile() -> None:
    default = variants(MODEL_REPOSITORIES)["latent_preview"][DEFAULT]
    [tensor] = default.settings.input
    latent = {tensor.name: np.ones((1, 4, 8, 8), np.float32)}
    path = default.version / default.file
    answer = in_onnxruntime(path, latent, "CPU", default.settings)()
    assert decibels(answer, in_onnxruntime(path, latent, "CPU", cuda(default.settings, 1))()) > 100


def test_an_answer_that_is_not_finite_is_no_answer() -> None:
    with pytest.raises(ValueError, match="not finite"):
        decibels(np.array([np.nan]), np.ones(1))


def test_an_engine_that_fails_costs_no_other_its_time() -> None:
    engines, ran = Engines(), []
    engines.attempt("one", lambda: nn.Linear(2, 2)(torch.ones(3)))
    engines.attempt("one", lambda: ran.append("one"))
    engines.attempt("other", lambda: ran.append("other"))
    assert ran == ["other"] and engines.problems.keys() == {"one"}
    assert engines.problems["one"].startswith("RuntimeError: ")


def test_the_report_has_every_gpu_and_says_what_has_no_numbers() -> None:
    engines = Engines(
        {"PyTorch FP32": 9.0, "ONNX Runtime FP16": 3.0}, {"PyTorch FP32": 200.0, "ONNX Runtime FP16": 61.2}
    )
    engines.problems["TensorRT FP16"] = "EngineError: it is not installed"
    served = Served(12.0, 900.0, {"text": 30.0}, {"text": {clients: Rate(33.0, 30.0, 41.0) for clients in (1, 8, 32)}})
    one = gpu.Device("a processor", {"unet": engines}, {"demo, fp16": served}, {}, {"gates": "its process died"})
    page = gpu.section({"One GPU": one, "Another GPU": gpu.Device("the same")})
    assert "| `unet` | 9.00 | 3.00 (61 dB) |" in page and "### Another GPU" in page
    assert "| demo, fp16 | text | 30.0 | 33.0 (41.0) | 33.0 (41.0) | 33.0 (41.0) | 12.0 | 900 |" in page
    assert "- gates: its process died\n- unet, TensorRT FP16: EngineError" in page
    assert json.loads(json.dumps(asdict(one)))["problems"] == {"gates": "its process died"}


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_without_a_gpu_nothing_of_it_is_measured() -> None:
    assert gpu.measure() == {} and not FOLDER.exists()
    assert "none" in gpu.section({})
