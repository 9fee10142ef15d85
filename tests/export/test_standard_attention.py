"""Fused attention of an exported graph becomes standard operators again, and nothing else changes."""

from pathlib import Path

import numpy as np
import onnx_ir
import torch
from torch import Tensor, nn

from export import half_precision, standard_attention
from export.networks.attention import LONG, MultiHeadAttention
from export.onnx_file import export, session

WIDTH, HEADS = 12, 3


class SelfAttention(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.attention = MultiHeadAttention(WIDTH, HEADS)

    def forward(self, x: Tensor) -> Tensor:
        return self.attention(x, x, x)


def exported(folder: Path, tokens: int) -> tuple[Path, np.ndarray, np.ndarray]:
    """The file, an input, and torch's answer to it."""
    network, x = SelfAttention(), torch.randn(2, tokens, WIDTH)
    export(network, [x], ["X"], ["Y"], folder / "model.onnx")
    with torch.no_grad():
        return folder / "model.onnx", x.numpy(), network(x).numpy()


def operators(path: Path) -> list[str]:
    return [node.op_type for node in onnx_ir.load(path).graph]


def test_attention_to_many_tokens_is_one_operator_and_becomes_standard_ones(tmp_path: Path) -> None:
    path, x, wanted = exported(tmp_path, LONG)
    graph, standard = onnx_ir.load(path), tmp_path / "standard.onnx"
    assert standard_attention.convert(graph) == 1
    onnx_ir.save(graph, standard)
    assert operators(path).count(standard_attention.FUSED) == 1 and "Softmax" not in operators(path)
    assert operators(standard).count("Softmax") == 1
    assert {node.domain for node in onnx_ir.load(standard).graph} == {""}
    for file in (path, standard):
        [answer] = session(file).run(None, {"X": x})
        np.testing.assert_allclose(answer, wanted, atol=1e-5)


def test_standard_attention_can_be_halved_but_for_its_softmax(tmp_path: Path) -> None:
    path, x, wanted = exported(tmp_path, LONG)
    graph = onnx_ir.load(path)
    assert standard_attention.convert(graph) == 1
    half_precision.convert(graph, [half_precision.SOFTMAX])
    onnx_ir.save(graph, tmp_path / "half.onnx")
    [answer] = session(tmp_path / "half.onnx").run(None, {"X": x})
    np.testing.assert_allclose(answer, wanted, atol=5e-3)
    [softmax] = [node for node in onnx_ir.load(tmp_path / "half.onnx").graph if node.op_type == "Softmax"]
    assert softmax.inputs[0] is not None and softmax.inputs[0].producer().op_type == "Cast"


def test_attention_to_few_tokens_is_of_standard_operators(tmp_path: Path) -> None:
    path, _, _ = exported(tmp_path, LONG // 2)
    assert standard_attention.convert(onnx_ir.load(path)) == 0 and "Softmax" in operators(path)
