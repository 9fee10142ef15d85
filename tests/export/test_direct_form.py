"""Transformed convolutions of an exported graph become direct ones again, and nothing else changes."""

from pathlib import Path

import numpy as np
import onnx_ir
import pytest
import torch
from diffusers.models.upsampling import Upsample2D
from torch import nn

from export import direct_form
from export.onnx_file import export, session
from export.winograd import FOUR, UPSAMPLED, Phases, Winograd


class Upsampling(nn.Module):
    """A rewritten upsampling layer in place of the original."""

    def __init__(self, rewritten) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.rewritten = rewritten(Upsample2D(5, use_conv=True, out_channels=7).conv)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.rewritten(x)


def plain() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(Winograd(nn.Conv2d(5, 6, 3, padding=1, bias=False), FOUR), nn.ReLU())


@pytest.mark.parametrize(
    ("network", "resizes"),
    [(plain(), 0), (Upsampling(lambda conv: Winograd(conv, UPSAMPLED)), 1), (Upsampling(Phases), 1)],
    ids=["filtered", "filtered upsampling", "phases"],
)
def test_a_transformed_convolution_is_direct_again(tmp_path: Path, network: nn.Module, resizes: int) -> None:
    x = torch.randn(2, 5, 8, 12)
    export(network, [x], ["X"], ["Y"], tmp_path / "model.onnx")
    [wanted] = session(tmp_path / "model.onnx").run(None, {"X": x.numpy()})
    graph = onnx_ir.load(tmp_path / "model.onnx")
    direct_form.convert(graph)
    onnx_ir.save(graph, tmp_path / "direct.onnx")
    operators = [node.op_type for node in graph.graph]
    assert operators.count("Conv") == 1 and operators.count("Resize") == resizes
    assert not {"ConvTranspose", "MatMul", "Concat"} & set(operators)
    [answer] = session(tmp_path / "direct.onnx").run(None, {"X": x.numpy()})
    np.testing.assert_allclose(answer, wanted, atol=1e-5)


def test_other_transposed_convolutions_stay(tmp_path: Path) -> None:
    network = nn.Sequential(nn.Conv2d(5, 6, 1), nn.ConvTranspose2d(6, 3, 4, stride=2, padding=1))
    export(network, [torch.randn(2, 5, 8, 8)], ["X"], ["Y"], tmp_path / "model.onnx")
    graph = onnx_ir.load(tmp_path / "model.onnx")
    before = [node.op_type for node in graph.graph]
    direct_form.convert(graph)
    assert [node.op_type for node in graph.graph] == before
