"""Exported files hold weights in fewer bytes, and are the same networks."""

from pathlib import Path

import numpy as np
import onnx
import onnx_ir as ir
import openvino as ov
import pytest
import torch
from onnx import helper, numpy_helper
from torch import Tensor, nn

from export import onnx_file, stored_weights
from export.onnx_file import export, session

WORDS, DISTINCT, WIDTH = 3000, 5, 48


class Sentence(nn.Module):
    """Ids of words [B, 7] to [B, 7, WIDTH]: from a table of few distinct rows, by halves, by others."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.words = nn.Embedding(WORDS, WIDTH)
        self.words.weight.data = torch.randn(DISTINCT, WIDTH).half().float()[torch.arange(WORDS) % DISTINCT]
        self.halves, self.others = nn.Linear(WIDTH, WIDTH), nn.Linear(WIDTH, WIDTH)
        self.halves.half().float()

    def forward(self, ids: Tensor) -> Tensor:
        answer: Tensor = self.others(torch.relu(self.halves(self.words(ids))))
        return answer


@pytest.fixture(scope="module")
def packed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What the exporter writes."""
    path = tmp_path_factory.mktemp("sentence") / "model.onnx"
    export(Sentence(), [torch.zeros(2, 7, dtype=torch.int64)], ["IDS"], ["Y"], path)
    return path


@pytest.fixture(scope="module")
def plain(packed: Path) -> Path:
    """The same file without the nodes that restore weights."""
    path = packed.with_name("plain.onnx")
    ir.save(stored_weights.load(packed), path)
    return path


def weights(model: ir.Model) -> dict[str, np.ndarray]:
    return {name: stored_weights.array(value) for name, value in model.graph.initializers.items()}


def holding(values: np.ndarray) -> ir.Model:
    """A graph that multiplies with these weights."""
    node = helper.make_node("Mul", ["X", "weights"], ["Y"])
    tensors = [helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, values.shape) for name in "XY"]
    graph = helper.make_graph([node], "graph", tensors[:1], tensors[1:], [numpy_helper.from_array(values, "weights")])
    return ir.from_proto(helper.make_model(graph, opset_imports=[helper.make_opsetid("", onnx_file.OPSET)]))


def test_a_packed_network_answers_bit_for_bit_the_same_in_both_engines(packed: Path, plain: Path) -> None:
    assert packed.stat().st_size < plain.stat().st_size / 10
    onnx.checker.check_model(str(packed), full_check=True)
    ids = np.random.default_rng(0).integers(0, WORDS, (3, 7))
    for answer in (
        lambda path: session(path).run(None, {"IDS": ids})[0],
        lambda path: ov.Core().compile_model(path, "CPU", {"INFERENCE_PRECISION_HINT": "f32"})({"IDS": ids})[0],
    ):
        assert answer(packed).tobytes() == answer(plain).tobytes()


def test_what_is_unpacked_is_what_the_exporter_made(packed: Path) -> None:
    network, unpacked = Sentence(), weights(stored_weights.load(packed))
    assert not any(name.startswith("restore") for name in unpacked)
    given = [each.detach().numpy() for each in (network.words.weight, network.halves.weight.T, network.others.weight.T)]
    for values in given:
        assert any(values.shape == each.shape and np.array_equal(values, each) for each in unpacked.values())


def test_a_table_of_few_distinct_rows_is_these_rows(packed: Path, plain: Path) -> None:
    assert (WORDS, WIDTH) in [each.shape for each in weights(ir.load(plain)).values()]
    stored = [(each.shape, each.dtype) for each in weights(ir.load(packed)).values()]
    assert ((DISTINCT, WIDTH), np.float32) in stored and ((WORDS,), np.int32) in stored
    assert max(np.prod(shape) for shape, _ in stored) == WORDS


@pytest.mark.parametrize(
    ("number", "stays"),
    [
        (1 / 3, True),
        (65520.0, True),
        (2.0**-25, True),
        (65504.0, False),
        (-0.0, False),
        (2.0**-24, False),
        (np.inf, False),
    ],
)
def test_only_numbers_of_fp16_become_fp16(number: float, stays: bool) -> None:
    values = np.linspace(0, 1, 1025, dtype=np.float32).astype(np.float16).astype(np.float32)
    values[7] = number
    model = holding(values)
    stored_weights.pack(model)
    [stored] = weights(model).values()
    assert stored.dtype == (np.float32 if stays else np.float16)
    stored_weights.unpack(model)
    assert weights(model)["weights"].tobytes() == values.tobytes()


def test_rows_that_differ_in_the_sign_of_a_zero_are_two() -> None:
    values = np.zeros((4000, 2), np.float32)
    values[::2] *= -1
    values = np.hstack([values] * 4)
    model = holding(values)
    stored_weights.pack(model)
    assert sorted(each.size for each in weights(model).values()) == [2 * 8, 4000]
    stored_weights.unpack(model)
    assert weights(model)["weights"].tobytes() == values.tobytes()


def test_small_weights_are_not_worth_a_node() -> None:
    model = holding(np.ones(1000, np.float32))
    stored_weights.pack(model)
    assert [node.op_type for node in model.graph] == ["Mul"]


def test_to_pack_again_changes_nothing(packed: Path, tmp_path: Path) -> None:
    model = ir.load(packed)
    stored_weights.pack(model)
    ir.save(model, tmp_path / "again.onnx")
    assert (tmp_path / "again.onnx").read_bytes() == packed.read_bytes()
