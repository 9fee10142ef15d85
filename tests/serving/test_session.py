import onnxruntime as ort
import pytest

from concord.model_config import InvalidParameter
from concord.session import run_options, session_options


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
