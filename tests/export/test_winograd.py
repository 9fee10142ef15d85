"""Rewritten convolutions compute what the direct ones do, with fewer products, and only where that pays."""

from pathlib import Path

import numpy as np
import pytest
import torch
from diffusers.models.downsampling import Downsample2D
from diffusers.models.upsampling import Upsample2D
from torch import nn

from export import winograd
from export.onnx_file import export, session
from export.winograd import FOUR, TILE, UPSAMPLED, Phases, Winograd, rewrite_convolutions


@pytest.mark.parametrize("bias", [True, False])
def test_a_plain_convolution_is_the_same(bias: bool) -> None:
    conv = nn.Conv2d(5, 7, 3, padding=1, bias=bias)
    x = torch.randn(2, 5, 8, 12)
    with torch.no_grad():
        torch.testing.assert_close(Winograd(conv, FOUR)(x), conv(x), atol=1e-5, rtol=0)


@pytest.mark.parametrize("rewritten", [lambda conv: Winograd(conv, UPSAMPLED), Phases], ids=["winograd", "phases"])
@pytest.mark.parametrize("size", [(6, 10), (3, 5)])
def test_an_upsampling_convolution_is_the_same(rewritten, size: tuple[int, int]) -> None:
    upsample = Upsample2D(5, use_conv=True, out_channels=7)
    x = torch.randn(2, 5, *size)
    with torch.no_grad():
        torch.testing.assert_close(rewritten(upsample.conv)(x), upsample(x), atol=1e-5, rtol=0)


def test_products_of_a_channel_pair_and_output_pixel() -> None:
    conv = nn.Conv2d(2, 3, 3, padding=1)
    products = [len(Winograd(conv, form).weight) / form.outputs.shape[0] ** 2 for form in (FOUR, UPSAMPLED)]
    assert products == [2.25, 2.25]  # instead of 9


class Wide(nn.Module):
    """One layer of every kind that a Stable Diffusion network has."""

    def __init__(self) -> None:
        super().__init__()
        self.wide = nn.Conv2d(4, 256, 1)
        self.filtered = nn.Conv2d(256, 256, 3, padding=1)
        self.kept = nn.ModuleDict({"filtered": nn.Conv2d(256, 256, 3, padding=1)})
        self.down = Downsample2D(256, use_conv=True)
        self.up = Upsample2D(256, use_conv=True, out_channels=512)
        self.wide_up = Upsample2D(512, use_conv=True, out_channels=8)
        self.narrow = nn.Conv2d(8, 3, 3, padding=1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.filtered(self.wide(x))
        return self.narrow(self.wide_up(self.up(self.down(self.kept["filtered"](x)))))


def test_only_wide_layers_are_rewritten_and_not_those_that_are_excepted() -> None:
    network = Wide()
    rewrite_convolutions(network, frozenset(("kept",)))
    assert type(network.filtered) is Winograd and type(network.kept["filtered"]) is nn.Conv2d
    assert type(network.up) is Phases and type(network.wide_up) is Winograd
    assert type(network.wide) is nn.Conv2d and type(network.narrow) is nn.Conv2d
    assert type(network.down.conv) is nn.Conv2d


def test_the_exported_graph_takes_any_multiple_of_a_tile_and_any_batch(tmp_path: Path) -> None:
    torch.manual_seed(0)
    network = Wide().eval()
    x = torch.randn(3, 4, 8, 20)
    with torch.no_grad():
        expected = network(x).numpy()
    rewrite_convolutions(network)
    batch, height, width = (torch.export.Dim(name, min=1, max=32) for name in ("batch", "height", "width"))
    axes = ({0: batch, 2: TILE * height, 3: TILE * width},)
    export(network, [torch.randn(2, 4, 8, 12)], ["X"], ["Y"], tmp_path / "wide.onnx", axes)
    [answer] = session(tmp_path / "wide.onnx").run(None, {"X": x.numpy()})
    np.testing.assert_allclose(answer, expected, atol=1e-5)


@pytest.mark.parametrize(
    ("inputs", "outputs", "wanted"),
    [(128, 128, False), (256, 256, True), (960, 320, True), (256, 128, False), (1280, 1280, False)],
    ids=["gains little", "gains", "gains, narrowing", "large activations", "large weights"],
)
def test_a_layer_is_rewritten_where_the_gain_is_worth_the_memory(inputs: int, outputs: int, wanted: bool) -> None:
    assert winograd.is_worthwhile(nn.Conv2d(inputs, outputs, 3, device="meta")) is wanted
