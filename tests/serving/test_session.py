from pathlib import Path
from types import SimpleNamespace

import onnxruntime as ort
import pytest

from concord.model_config import InvalidParameter
from concord.session import cuda_options, run_options, session, session_options


def config(**parameters: str) -> dict:
    return {"parameters": {name: {"string_value": value} for name, value in parameters.items()}}


def test_parameters_of_the_cpp_backend_are_honoured():
    options = session_options(
        config(
            intra_op_thread_count="3",
            inter_op_thread_count="2",
            execution_mode="1",
            enable_mem_arena="0",
            enable_mem_pattern="false",
        )
    )
    assert (options.intra_op_num_threads, options.inter_op_num_threads) == (3, 2)
    assert options.execution_mode == ort.ExecutionMode.ORT_PARALLEL
    assert options.enable_cpu_mem_arena is False and options.enable_mem_pattern is False


@pytest.mark.parametrize(
    ("level", "expected"),
    [(-1, "ORT_ENABLE_BASIC"), (0, "ORT_ENABLE_ALL"), (1, "ORT_ENABLE_EXTENDED"), (2, "ORT_DISABLE_ALL")],
)
def test_the_graph_level_means_what_it_means_to_the_cpp_backend(level, expected):
    options = session_options({"optimization": {"graph": {"level": level}}})
    assert options.graph_optimization_level == getattr(ort.GraphOptimizationLevel, expected)


def test_without_parameters_onnx_runtime_decides():
    options = session_options({})
    assert options.intra_op_num_threads == 0 and options.enable_cpu_mem_arena is True
    assert options.graph_optimization_level == ort.GraphOptimizationLevel.ORT_ENABLE_ALL


def test_session_entries_are_passed_on():
    options = session_options(config(**{"session.intra_op.allow_spinning": "0"}))
    assert options.get_session_config_entry("session.intra_op.allow_spinning") == "0"


def test_arena_shrinkage_goes_into_each_run():
    options = run_options(config(**{"memory.enable_memory_arena_shrinkage": "cpu:0"}))
    assert options.get_run_config_entry("memory.enable_memory_arena_shrinkage") == "cpu:0"


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("intra_op_thread_count", "two"),
        ("inter_op_thread_count", "-1"),
        ("execution_mode", "2"),
        ("enable_mem_arena", "maybe"),
        ("enable_mem_pattern", ""),
    ],
)
def test_a_bad_parameter_is_named_with_its_value(name, value):
    with pytest.raises(InvalidParameter, match=rf"^\[invalid_parameter\] {name}: is '{value}'; allowed: "):
        session_options(config(**{name: value}))


def test_the_cuda_provider_has_the_device_and_the_accelerator_s_parameters():
    cuda = {"name": "cuda", "parameters": {"use_tf32": "0", "cudnn_conv_algo_search": "HEURISTIC"}}
    accelerators = {"gpu_execution_accelerator": [{"name": "tensorrt", "parameters": {"a": "b"}}, cuda]}
    options = cuda_options({"optimization": {"execution_accelerators": accelerators}}, device=3)
    assert options == {"use_tf32": "0", "cudnn_conv_algo_search": "HEURISTIC", "device_id": "3"}
    assert cuda_options({}) == {"device_id": "0"}


def test_a_network_that_cuda_does_not_run_is_not_run_by_the_processor(monkeypatch: pytest.MonkeyPatch):
    on_processor = SimpleNamespace(get_providers=lambda: ["CPUExecutionProvider"])
    monkeypatch.setattr(ort, "get_available_providers", lambda: ["CUDAExecutionProvider", "CPUExecutionProvider"])
    monkeypatch.setattr(ort, "InferenceSession", lambda *_args, **_options: on_processor)
    with pytest.raises(RuntimeError, match="CUDAExecutionProvider does not start"):
        session(Path("model.onnx"), {}, "GPU")
    assert session(Path("model.onnx"), {}) is on_processor


def test_without_a_package_for_gpus_a_profile_with_one_is_refused():
    with pytest.raises(RuntimeError, match="has no CUDAExecutionProvider; use a profile with KIND_CPU"):
        session(Path("model.onnx"), {}, "GPU")
