"""How far a network is from the machine's limit: its work is counted right, and the peak is of its precision."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import openvino as ov
import pytest
import torch
from openvino import opset13 as ops
from pydantic import TypeAdapter
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from benchmarks.floors import peak, work
from benchmarks.floors.forms import DIRECT, EAGER, OPENVINO_INT8, Forms, Int8, precision
from benchmarks.floors.forms import written as forms_written
from benchmarks.floors.limit import Limit, columns
from benchmarks.floors.loop import Loop
from benchmarks.floors.loop import written as loop_written
from benchmarks.floors.text_guided import TextGuided
from benchmarks.parts.engines_diffusion import LARGEST, TINY, tiny_shares, unet_in_int8
from benchmarks.subjects import network
from concord.instruments.markdown import stages, times
from export.networks import find
from export.networks.cris import ServedCris
from export.networks.harmonizer import ServedHarmonizer
from export.networks.unet import ServedUnet, with_levels
from export.onnx_file import export
from export.runtime_form import Form, fold_text, rewrite
from export.winograd import FOUR, UPSAMPLED, Phases, Winograd
from tests.export import small, small_diffusion


def weights(*shape: int) -> ov.Node:
    return ops.constant(np.ones(shape, np.float32))


def given(*shape: int) -> ov.Node:
    return ops.parameter(shape, np.float32)


def convolution() -> tuple[list[ov.Node], ov.Node]:
    x = given(-1, 3, -1, -1)
    return [x], ops.convolution(x, weights(5, 3, 3, 3), [1, 1], [1, 1], [1, 1], [1, 1])


def grouped() -> tuple[list[ov.Node], ov.Node]:
    x = given(-1, 4, 8, 8)
    return [x], ops.group_convolution(x, weights(2, 3, 2, 3, 3), [1, 1], [0, 0], [0, 0], [1, 1])


def transposed() -> tuple[list[ov.Node], ov.Node]:
    x = given(1, 4, 5, 5)
    return [x], ops.convolution_backprop_data(x, weights(4, 3, 2, 2), [2, 2])


def product() -> tuple[list[ov.Node], ov.Node]:
    x = given(2, 7, 5)
    return [x], ops.matmul(x, weights(5, 3), False, False)


def turned_product() -> tuple[list[ov.Node], ov.Node]:
    x = given(2, 5, 7)
    return [x], ops.matmul(x, weights(3, 5), True, True)


def attention() -> tuple[list[ov.Node], ov.Node]:
    q, k, v = given(2, 3, 7, 4), given(2, 3, 9, 4), given(2, 3, 9, 6)
    return [q, k, v], ops.scaled_dot_product_attention(q, k, v, causal=False)


@pytest.mark.parametrize(
    ("build", "shapes", "multiply_adds"),
    [
        (convolution, [(2, 3, 8, 8)], 2 * 5 * 8 * 8 * 3 * 3 * 3),
        (convolution, [(1, 3, 16, 8)], 5 * 16 * 8 * 3 * 3 * 3),
        (grouped, [(2, 4, 8, 8)], 2 * 6 * 6 * 6 * 2 * 3 * 3),
        (transposed, [(1, 4, 5, 5)], 5 * 5 * 4 * 3 * 2 * 2),
        (product, [(2, 7, 5)], 2 * 7 * 3 * 5),
        (turned_product, [(2, 5, 7)], 2 * 7 * 3 * 5),
        (attention, [(2, 3, 7, 4), (2, 3, 9, 4), (2, 3, 9, 6)], 2 * 3 * 7 * 9 * (4 + 6)),
    ],
)
def test_the_work_of_an_operation_is_what_a_hand_counts(
    build: Callable[[], tuple[list[ov.Node], ov.Node]],
    shapes: list[tuple[int, ...]],
    multiply_adds: int,
    tmp_path: Path,
) -> None:
    parameters, answer = build()
    for number, parameter in enumerate(parameters):
        parameter.output(0).set_names({f"X{number}"})
    ov.save_model(ov.Model([ops.relu(answer)], parameters), tmp_path / "model.xml", compress_to_fp16=False)
    feeds = {f"X{number}": np.zeros(shape, np.float32) for number, shape in enumerate(shapes)}
    assert work.gigaflop_as_written(tmp_path / "model.xml", feeds) * 1e9 == pytest.approx(2 * multiply_adds)


def test_a_product_whose_size_the_network_computes_is_refused_by_name(tmp_path: Path) -> None:
    x = given(4, 4)
    x.output(0).set_names({"X"})
    places = ops.convert(ops.non_zero(x), np.float32)
    ov.save_model(ov.Model([ops.matmul(places, places, False, True)], [x]), tmp_path / "model.xml")
    with pytest.raises(ValueError, match="the size of a MatMul depends on what the network computes"):
        work.gigaflop_as_written(tmp_path / "model.xml", {"X": np.zeros((4, 4), np.float32)})


def test_a_product_that_is_not_counted_is_refused_by_name(tmp_path: Path) -> None:
    x = given(2, 4)
    x.output(0).set_names({"X"})
    ov.save_model(ov.Model([ops.einsum([x, x], "ij,kj->ik")], [x]), tmp_path / "model.xml")
    with pytest.raises(ValueError, match="the work of Einsum is not counted"):
        work.gigaflop_as_written(tmp_path / "model.xml", {"X": np.zeros((2, 4), np.float32)})


def plain() -> nn.Conv2d:
    return nn.Conv2d(5, 7, 3, padding=1)


@pytest.mark.parametrize(
    ("rewritten", "pixels"),
    [(Winograd(plain(), FOUR), 8 * 12), (Winograd(plain(), UPSAMPLED), 16 * 24), (Phases(plain()), 16 * 24)],
    ids=["filtered", "filtered upsampling", "phases"],
)
def test_a_transformed_convolution_counts_as_the_direct_one(rewritten: nn.Module, pixels: int, tmp_path: Path) -> None:
    x = torch.zeros(2, 5, 8, 12)
    export(nn.Sequential(rewritten, nn.ReLU()), [x], ["X"], ["Y"], tmp_path / "model.onnx")
    assert work.gigaflop(tmp_path / "model.onnx", {"X": x.numpy()}) * 1e9 == pytest.approx(2 * 2 * pixels * 7 * 5 * 9)


def unet(form: Form) -> nn.Module:
    """As it is exported in this form."""
    states = torch.zeros(3, small_diffusion.WIDTH)
    served = ServedUnet(small_diffusion.unet(), states)
    fold_text(served, states)
    rewrite(served, form)
    return served


@pytest.mark.parametrize(
    ("name", "exported", "counted"),
    [
        pytest.param("cris", *[lambda: ServedCris(small.cris())] * 2, marks=pytest.mark.full),
        ("ht", *[lambda: ServedHarmonizer(small.harmonizer("ht_plus"))] * 2),
        pytest.param("dht", *[lambda: ServedHarmonizer(small.harmonizer("dht_plus"))] * 2, marks=pytest.mark.full),
        ("unet", lambda: unet(Form()), lambda: unet(Form("plain", "direct"))),
    ],
    ids=["cris", "ht", "dht", "unet"],
)
def test_the_work_of_a_network_is_what_torch_counts(
    name: str, exported: Callable[[], nn.Module], counted: Callable[[], nn.Module], tmp_path: Path
) -> None:
    declared = with_levels(2) if name == "unet" else find(name)
    _, inputs, *_ = declared.samples()
    names = [tensor.name for tensor in declared.inputs]
    export(
        exported(), inputs, names, [tensor.name for tensor in declared.outputs], tmp_path / "model.onnx", declared.axes
    )
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        counted().requires_grad_(False)(*inputs)
    assert work.gigaflop(tmp_path / "model.onnx", declared.feeds(inputs)) * 1e9 == pytest.approx(
        counter.get_total_flops(), rel=0.01
    )


@pytest.mark.parametrize("precision", peak.HINTS)
def test_the_machine_s_peak_is_measured_in_every_precision(precision: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(peak, "SIZES", ((64, 32, 64), (128, 64, 128)))
    monkeypatch.setattr(peak, "SECONDS", 0.0)
    measured = [list(peak.rates(product, precision)) for product in (peak.openvino_product, peak.torch_product)]
    assert [len(rates) for rates in measured] == [2, 2] and min(map(min, measured)) > 0


def test_openvino_multiplies_in_int8_what_is_quantized() -> None:
    compiled = ov.Core().compile_model(peak.quantized((64, 32, 64)), "CPU")
    computed = {
        str(node.get_rt_info()["runtimePrecision"].astype(str))
        for node in compiled.get_runtime_model().get_ops()
        if node.get_rt_info()["layerType"].astype(str) in ("FullyConnected", "MatMul")
    }
    assert computed <= {"i8", "u8"} and computed


def test_larger_products_are_left_out_where_one_takes_long(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(peak, "least_seconds", lambda call: 2 * peak.LONGEST)
    assert len(list(peak.rates(lambda precision, size: lambda: None, "bf16"))) == 1


def test_a_copy_counts_what_is_read_and_what_is_written(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(peak, "BLOCK", 1 << 20)
    monkeypatch.setattr(peak, "least_seconds", lambda call: call() is not None and 1e-3)
    assert peak.copy_gigabytes_per_second() == pytest.approx(2 * (1 << 20) / 1e-3 / 1e9)


LIMIT = Limit({"one": 2.0}, {"fp32": 400.0, "int8": 1600.0})


def test_a_network_s_row_says_how_much_of_the_peak_it_reaches() -> None:
    p50 = {"one": 10.0, "the pipeline": 12.0}
    written = times({name: {"p50": spent} for name, spent in p50.items()}, columns(LIMIT, p50))
    assert "| ms | p50 | GFLOP/s | peak | of the peak |" in written
    assert "| one | 10.0 | 200 | 400 | 50 % |" in written and "| the pipeline | 12.0 |  |  |  |" in written
    assert "| `one` | 10.0 | 45 % | 200 | 400 | 50 % |" in stages(p50, columns=columns(LIMIT, p50))
    assert columns(None, p50) == {}


def test_limits_are_read_back_from_a_report() -> None:
    measured = TextGuided({"one": {"p50": 10.0}}, 1.0, {"one": 10.0}, 1.0, limit=LIMIT)
    adapter = TypeAdapter(TextGuided)
    assert adapter.validate_python(adapter.dump_python(measured, mode="json")) == measured
    without = Loop(512, 5, {"bare": {"p50": 1.0}}, 1.0, 1.0, 1.0, {network("unet"): 1.0})
    stored = {name: value for name, value in vars(without).items() if name != "limit"}
    assert TypeAdapter(Loop).validate_python(stored) == without and "GFLOP" not in loop_written(without)
    here = replace(without, limit=Limit({"bare": 0.2, network("unet"): 0.1}, LIMIT.peak))
    assert "than the bare UNet's 1.00 ms, 25 % of the peak." in loop_written(here)


def test_every_form_is_held_against_the_peak_of_its_own_precision() -> None:
    spent = {EAGER: 40.0, DIRECT: 20.0, OPENVINO_INT8: 5.0}
    limit = Limit(dict.fromkeys(spent, 4.0), LIMIT.peak, {form: precision(form) for form in spent})
    ratios = dict.fromkeys(spent, 1.0)
    form = Forms({name: {"p50": each} for name, each in spent.items()}, ratios, ratios, Int8(20.0, 1.0), limit=limit)
    forms = {network(LARGEST): form}
    written = forms_written(forms)
    assert f"| `unet` | {EAGER} | 40.0 | 1.00 | 1.00 | 100 | 400 | 25 % |" in written
    assert f"| `unet` | {OPENVINO_INT8} | 5.00 | 1.00 | 1.00 | 800 | 1600 | 50 % |" in written
    assert "in INT8 does 800 GFLOP/s, 0.50 of the 1600 GFLOP/s of this machine's product" in unet_in_int8(forms)
    assert precision("OpenVINO BF16") == "bf16" and precision("Concord") == "fp32"


def test_the_time_of_a_tiny_decoder_is_told_as_a_share_of_that_of_the_plain_one() -> None:
    plain, tiny = (Forms({EAGER: {"p50": spent}}, {EAGER: 1.0}, {EAGER: 1.0}, Int8(20.0, 1.0)) for spent in (40.0, 3.0))
    own, other = network("decoder"), network(TINY["decoder"])
    assert tiny_shares({own: plain, other: tiny}) == f"\n\nTime of `{other}` over `{own}`: {EAGER} 0.075."
    assert tiny_shares({own: plain}) == ""


def test_what_was_measured_before_there_were_limits_is_written_without_them() -> None:
    form = Forms({EAGER: {"p50": 1.0}}, {EAGER: 1.0}, {EAGER: 1.0}, Int8(20.0, 1.0))
    assert f"| `unet` | {EAGER} | 1.00 | 1.00 | 1.00 |\n" in forms_written({"unet": form})
    assert "GFLOP" not in forms_written({"unet": form}) and unet_in_int8({network(LARGEST): form}) == ""
