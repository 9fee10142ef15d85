import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper
from tritonclient.utils import InferenceServerException

from concord.server.embedded import EmbeddedServer, Ports
from tests.serving.asking import ask
from tests.serving.stack import stub_of

CONFIG = """
name: "{name}"
backend: "{backend}"
{file}
max_batch_size: {batch}
input [ {{ name: "INDEX" data_type: TYPE_INT64 dims: [ {dims} ] }} ]
output [
  {{ name: "VALUE" data_type: TYPE_FP32 dims: [ {dims} ] }},
  {{ name: "NEGATIVE" data_type: TYPE_FP32 dims: [ {dims} ] }}
]
instance_group [ {{ count: 1 kind: KIND_CPU }} ]
{batching}
"""
BATCHING = "dynamic_batching { preferred_batch_size: [ 2, 4 ] max_queue_delay_microseconds: 10000000 }"
GIVING_BACK = 'parameters { key: "memory.enable_memory_arena_shrinkage" value { string_value: "cpu:0" } }'
SPARING = 'parameters { key: "unless_empty" value { string_value: "INDEX" } }'
STRAY = """
from concord.adapter import SampleModel

class TritonPythonModel(SampleModel):
    def answer(self, sample, requested):
        raise RuntimeError("/secret/place is not there")
"""


def look_up() -> onnx.ModelProto:
    """VALUE = (10, 20, 30)[INDEX]: an index out of range breaks the whole run."""
    table = helper.make_tensor("table", TensorProto.FLOAT, [3], [10, 20, 30])
    nodes = [
        helper.make_node("Gather", ["table", "INDEX"], ["VALUE"], axis=0),
        helper.make_node("Neg", ["VALUE"], ["NEGATIVE"]),
    ]
    index = helper.make_tensor_value_info("INDEX", TensorProto.INT64, ["batch", "count"])
    outputs = [
        helper.make_tensor_value_info(name, TensorProto.FLOAT, ["batch", "count"]) for name in ("VALUE", "NEGATIVE")
    ]
    graph = helper.make_graph(nodes, "look_up", [index], outputs, [table])
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)


@pytest.fixture(scope="module")
def small(tmp_path_factory) -> EmbeddedServer:
    repository: Path = tmp_path_factory.mktemp("models")
    for name, backend, batch, dims, batching in (
        ("merging", "onnxruntime", 4, "-1", BATCHING),
        ("alone", "onnxruntime", 0, "-1, -1", ""),
        ("giving_back", "onnxruntime", 4, "-1", GIVING_BACK),
        ("sparing", "onnxruntime", 4, "2", SPARING),
        ("openvino_sparing", "openvino", 4, "2", SPARING),
        ("openvino_merging", "openvino", 4, "-1", BATCHING),
        ("openvino_alone", "openvino", 0, "-1, -1", ""),
        ("stray", "python", 4, "-1", ""),
    ):
        version = repository / name / "1"
        version.mkdir(parents=True)
        file = "" if backend == "python" else 'default_model_filename: "model.onnx"'
        config = CONFIG.format(name=name, backend=backend, file=file, batch=batch, dims=dims, batching=batching)
        (repository / name / "config.pbtxt").write_text(config)
        if backend == "python":
            (version / "model.py").write_text(STRAY)
        else:
            onnx.save(look_up(), version / "model.onnx")
    with EmbeddedServer([repository], ports=Ports(0, 0, 0)) as running:
        yield running


def test_a_network_that_gives_its_memory_back_after_each_run_takes_it_in_small_pages(small: EmbeddedServer) -> None:
    assert look(small, "giving_back", [1]).tolist() == [[20]]
    pages = {
        name: Path(f"/proc/{stub_of(name, small.processes()).pid}/status").read_text().split("THP_enabled:")[1].split()
        for name in ("giving_back", "merging")
    }
    assert (pages["giving_back"][0], pages["merging"][0]) == ("0", "1")


@pytest.mark.parametrize("model", ["sparing", "openvino_sparing"])
def test_an_empty_sample_is_answered_with_zeros_and_the_rest_by_the_network(small: EmbeddedServer, model: str) -> None:
    assert look(small, model, [0, 0], [2, 0], [0, 0]).tolist() == [[0, 0], [30, 10], [0, 0]]
    assert look(small, model, [0, 0]).tolist() == [[0, 0]]
    assert look(small, model, [1, 2]).tolist() == [[20, 30]]


def look(server: EmbeddedServer, model: str, *rows: list[int]) -> np.ndarray | str:
    try:
        return ask(server, model, {"INDEX": np.array(rows)})["VALUE"]
    except InferenceServerException as error:
        return str(error.message())


def test_a_request_that_breaks_a_merged_run_fails_alone(small):
    with ThreadPoolExecutor(2) as threads:
        bad, good = threads.map(lambda index: look(small, "merging", [index]), (9, 1))
    assert "[internal] merging: the server failed to answer" in bad
    np.testing.assert_array_equal(good, [[20]])


@pytest.mark.parametrize("model", ["merging", "openvino_merging"])
def test_merged_requests_of_several_samples_are_split_where_they_were_joined(small, model):
    with ThreadPoolExecutor(2) as threads:
        first, second = threads.map(lambda rows: look(small, model, *rows), ([[0]], [[1], [2], [0]]))
    np.testing.assert_array_equal(first, [[10]])
    np.testing.assert_array_equal(second, [[20], [30], [10]])


@pytest.mark.parametrize("model", ["alone", "openvino_alone"])
def test_a_model_without_batching_is_answered(small, model):
    np.testing.assert_array_equal(look(small, model, [0, 1], [2, 2]), [[10, 20], [30, 30]])


def test_what_went_wrong_inside_stays_in_the_log(small):
    message = look(small, "stray", [0])
    assert "[internal] stray: the server failed to answer; its log says why" in message
    assert "secret" not in message
    deadline = time.monotonic() + 60
    # A stub hands its lines on to the server's log in its own time.
    while "RuntimeError: /secret/place is not there" not in small.log():
        assert time.monotonic() < deadline, small.log()
        time.sleep(0.05)
