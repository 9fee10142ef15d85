"""Networks in half precision keep their contracts, and compute in FP32 where half would not do."""

from pathlib import Path

import numpy as np
import onnx_ir as ir
import pytest

from export import half_precision, stored_weights
from export.half_precision import Island
from export.network import Network
from export.networks import declared, every
from export.onnx_file import session
from export.publication import REPOSITORY
from tests.export.once import exported
from tests.export.weights import weight_bytes

DEMO = [network for network in every() if (REPOSITORY / network.name / "1" / "model.onnx").is_file()]
IN_HALF = ["cris", "ht", "unet", "vae_encoder"]


def served(name: str) -> Path:
    return REPOSITORY / name / "1" / "model.onnx"


def halved(path: Path, name: str, folder: Path) -> tuple[ir.Model, Path]:
    """The network in half precision, and where it is saved."""
    model, half = stored_weights.load(path), folder / f"{name}.onnx"
    half_precision.convert(model, declared(name).islands)
    ir.save(model, half)
    return model, half


def types(model: ir.Model) -> list[tuple[str | None, ir.DataType | None]]:
    return [(value.name, value.dtype) for value in (*model.graph.inputs, *model.graph.outputs)]


def nodes(model: ir.Model, *operators: str) -> list[ir.Node]:
    return [node for node in model.graph if node.op_type in operators]


def run(path: Path, network: Network) -> np.ndarray:
    """What a network answers to one input."""
    return session(path).run(None, network.feeds(next(network.samples())))[0].astype(np.float32)


@pytest.mark.parametrize("network", DEMO, ids=lambda network: network.name)
def test_a_demo_network_in_half_precision_answers_nearly_the_same(tmp_path: Path, network: Network) -> None:
    exported = served(network.name)
    half, path = halved(exported, network.name, tmp_path)
    assert types(half) == types(ir.load(exported))
    expected, answer = run(exported, network), run(path, network)
    assert np.abs(answer - expected).max() <= 0.01 * max(1.0, np.abs(expected).max())


@pytest.mark.parametrize("name", IN_HALF)
def test_products_and_their_weights_are_in_half_precision(tmp_path: Path, name: str) -> None:
    half, _ = halved(served(name), name, tmp_path)
    for node in nodes(half, "Conv", "MatMul", "Gemm"):
        assert {value.dtype for value in node.inputs if value is not None} == {ir.DataType.FLOAT16}
    assert weight_bytes(half) < 0.6 * weight_bytes(served(name))


@pytest.mark.parametrize("name", IN_HALF)
def test_norms_and_softmax_are_in_fp32(tmp_path: Path, name: str) -> None:
    half, _ = halved(served(name), name, tmp_path)
    found = nodes(half, "InstanceNormalization", "LayerNormalization", "BatchNormalization", "Softmax")
    assert found
    for node in found:
        assert {value.dtype for value in (*node.inputs, *node.outputs) if value} == {ir.DataType.FLOAT}


def test_a_fraction_of_a_timestep_is_not_rounded(tmp_path: Path) -> None:
    half, _ = halved(served("unet"), "unet", tmp_path)
    [timestep] = [value for value in half.graph.inputs if value.name == "TIMESTEP"]
    [sine] = nodes(half, "Sin")
    above, passed = list(sine.predecessors()), set()
    while above:
        node = above.pop()
        passed.add(node)
        assert all(value.dtype != ir.DataType.FLOAT16 for value in (*node.inputs, *node.outputs) if value is not None)
        above += node.predecessors()
    assert passed & set(timestep.consumers())


def test_nothing_of_the_decoder_is_in_half_precision(tmp_path: Path) -> None:
    half, _ = halved(served("vae_decoder"), "vae_decoder", tmp_path)
    values = [value for node in half.graph for value in (*node.inputs, *node.outputs) if value is not None]
    assert ir.DataType.FLOAT16 not in {value.dtype for value in values}


@pytest.mark.parametrize("name", ["dht", "ht_v1"])
def test_a_norm_over_the_whole_image_is_in_fp32_from_end_to_end(tmp_path_factory, tmp_path: Path, name: str) -> None:
    network = declared(name)
    source = exported(tmp_path_factory, network) / name / "1" / "model.onnx"
    half, path = halved(source, name, tmp_path)
    means, roots = nodes(half, "ReduceMean"), nodes(half, "Sqrt")
    assert means and roots
    between = {node for mean in means for node in mean.successors()} | {n for r in roots for n in r.predecessors()}
    for node in (*means, *roots, *between):
        if node.op_type != "Cast":
            assert {value.dtype for value in node.inputs if is_float(value)} == {ir.DataType.FLOAT}, node.name
    expected = run(source, network)
    assert np.abs(run(path, network) - expected).max() <= 0.01 * max(1.0, np.abs(expected).max())


def is_float(value: ir.Value | None) -> bool:
    return value is not None and half_precision.is_float(value)


def graph(*named: ir.Node, inputs: list[ir.Value], outputs: list[ir.Value]) -> ir.Model:
    return ir.Model(ir.Graph(inputs, outputs, nodes=named, opset_imports={"": 18}), ir_version=10)


def test_neighbours_in_an_island_hand_on_fp32(tmp_path: Path) -> None:
    """1e5 is more than half can hold; it comes and goes within the island."""
    floats = {"type": ir.TensorType(ir.DataType.FLOAT), "shape": ir.Shape([1])}
    values = [ir.Value(name=name, **floats) for name in "ABCDE"]
    a, b, c, d, e = values
    many = [
        ir.node("Relu", [a], outputs=[b], name="before"),
        ir.node("Exp", [b], outputs=[c], name="grow"),
        ir.node("Log", [c], outputs=[d], name="shrink"),
        ir.node("Neg", [d], outputs=[e], name="after"),
    ]
    model = graph(*many, inputs=[a], outputs=[e])
    half_precision.convert(model, [Island("range", ("Exp",), ("shri*",))])
    ir.save(model, tmp_path / "half.onnx")
    answer = session(tmp_path / "half.onnx").run(None, {"A": np.float32([12.0])})[0]
    assert answer.dtype == np.float32 and answer == pytest.approx(-12.0, abs=0.01)
    assert [node.op_type for node in model.graph] == ["Cast", "Relu", "Cast", "Exp", "Log", "Cast", "Neg", "Cast"]


def test_weights_stay_finite_and_do_not_vanish() -> None:
    values = np.float32([1e9, -1e9, 1e-12, -1e-12, 0.0, 1.5, -np.inf])
    half = half_precision.half(ir.Tensor(values), "weights").numpy()
    assert half.dtype == np.float16
    assert half.tolist() == [65504, -65504, 2.0**-24, -(2.0**-24), 0, 1.5, -np.inf]
