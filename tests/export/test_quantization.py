"""INT8 networks: made of exported ones, judged before they are served, refused in words."""

import hashlib
import json
import os
import shutil
from pathlib import Path

import nncf.telemetry.wrapper
import numpy as np
import openvino as ov
import pytest
from openvino import opset13 as opset

from concord.repository.profiles import INT8_FILE as FILE
from export import calibration, quantization
from export.engine_profiles import EngineError
from export.networks import every
from export.publication import REPOSITORY
from export.quantization import build
from tests.export.test_engine import contents, place_demo
from tests.export.weights import weight_bytes

SAMPLES = calibration.LEAST
DEMO = [network for network in every() if (REPOSITORY / network.name / "1" / "model.onnx").is_file()]
SEEN = [network.name for network in DEMO if network.seen]


@pytest.fixture(scope="module")
def quantized(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A repository with CRIS in INT8."""
    repository = tmp_path_factory.mktemp("models")
    place_demo(repository, "cris")
    build("cris", repository, "int8", number=SAMPLES)
    return repository


def test_a_quantized_network_is_smaller_and_computes_nearly_the_same(quantized: Path) -> None:
    folder = quantized / "cris" / "1"
    record = json.loads((folder / f"{FILE}.json").read_text())
    assert record["onnx_sha256"] == hashlib.sha256((folder / "model.onnx").read_bytes()).hexdigest()
    assert record["xml_sha256"] == hashlib.sha256((folder / FILE).read_bytes()).hexdigest()
    assert record["samples"] == SAMPLES and record["snr_db"][0] > record["least_snr_db"]
    assert (folder / "model.int8.bin").stat().st_size < weight_bytes(folder / "model.onnx") / 3
    operators = ov.Core().read_model(folder / FILE).get_ordered_ops()
    assert any(tensor.element_type == ov.Type.i8 for node in operators for tensor in node.outputs())


def test_a_network_that_computes_something_else_is_not_served(monkeypatch, tmp_path: Path) -> None:
    folder = place_demo(tmp_path, "cris")
    before = contents(folder)
    monkeypatch.setattr(quantization, "LEAST_SNR", 90.0)
    with pytest.raises(EngineError, match=r"cris: it would answer with .* dB .* at least 90 .* left as it was"):
        build("cris", tmp_path, "int8", number=SAMPLES)
    assert contents(folder) == before


def test_an_input_that_joins_the_others_later_is_not_where_a_network_begins() -> None:
    latent, feature = opset.parameter([1, 4, 4], np.float32), opset.parameter([1, 4, 4], np.float32)
    for given, name in ((latent, "LATENT"), (feature, "FEATURE")):
        given.output(0).set_names({name})

    def product(value: ov.Node) -> ov.Node:
        return opset.matmul(value, np.eye(4, dtype=np.float32), transpose_a=False, transpose_b=False)

    first = product(latent)
    middle = product(opset.add(first, feature))
    last = product(middle)
    network = ov.Model([last], [latent, feature])
    name_first, name_middle, name_last = (node.get_friendly_name() for node in (first, middle, last))
    assert quantization.end_products(network) == {name_first, name_middle, name_last}
    assert quantization.end_products(network, ["FEATURE"]) == {name_first, name_last}


@pytest.mark.parametrize("model", SEEN)
def test_calibration_inputs_are_what_the_server_gives_the_network(model: str) -> None:
    [first, second] = calibration.feeds(model, REPOSITORY, 2)
    inputs = {
        tensor.any_name: (tensor.partial_shape, tensor.element_type.to_dtype())
        for tensor in ov.Core().read_model(REPOSITORY / model / "1" / "model.onnx").inputs
    }
    assert first.keys() == inputs.keys()
    for name, (shape, kind) in inputs.items():
        assert first[name].dtype == kind and shape.compatible(ov.PartialShape(first[name].shape))
    assert any((first[name] != second[name]).any() for name in first)
    [held_out] = calibration.feeds(model, REPOSITORY, 1, held_out=True)
    assert any((held_out[name] != first[name]).any() for name in first)


@pytest.mark.parametrize(
    ("arrays", "words"),
    [
        ({"X": np.zeros((9, 3), np.float32)}, r"has the inputs \['X'\], the network has \['A', 'B'\]"),
        ({"A": np.zeros((9, 3)), "B": np.zeros((9, 4, 8))}, "B is 9x4x8, the network takes -1x4x-1x-1"),
        ({"A": np.zeros((9, 2)), "B": np.zeros((9, 4, 8, 8))}, "A is 9x2, the network takes -1x3"),
        ({"A": np.zeros((7, 3)), "B": np.zeros((7, 4, 8, 8))}, "'A': 7.* at least 8 are needed"),
        ({"A": np.zeros((9, 3)), "B": np.zeros((8, 4, 8, 8))}, "of every input as many"),
    ],
    ids=["names", "axes", "shape", "few", "unequal"],
)
def test_a_calibration_set_that_does_not_fit_is_refused(tmp_path: Path, arrays, words: str) -> None:
    np.savez(tmp_path / "set.npz", **arrays)
    with pytest.raises(EngineError, match=words):
        calibration.read(tmp_path / "set.npz", {"A": (-1, 3), "B": (-1, 4, -1, -1)})


def test_a_calibration_set_is_read_sample_by_sample(tmp_path: Path) -> None:
    numbers = np.arange(24, dtype=np.float32).reshape(8, 3)
    np.savez(tmp_path / "set.npz", A=numbers)
    read = calibration.read(tmp_path / "set.npz", {"A": (-1, 3)})
    assert [sample["A"].shape for sample in read] == [(1, 3)] * 8
    np.testing.assert_array_equal(np.concatenate([sample["A"] for sample in read]), numbers)


def test_a_file_that_is_no_calibration_set_is_refused(tmp_path: Path) -> None:
    (tmp_path / "set.npz").write_bytes(b"nonsense")
    with pytest.raises(EngineError, match=r"set\.npz: not a file of arrays"):
        calibration.read(tmp_path / "set.npz", {})


@pytest.mark.parametrize(
    ("model", "precision", "number", "words"),
    [
        ("cris", "fp32", 8, "openvino reads model.onnx itself"),
        ("compose", "int8", 8, "compose: has no exported network"),
        ("latent_preview", "int8", 8, "latent_preview: INT8 is for cris, ht, .*vae_decoder, .*tiny_decoder$"),
        ("cris", "int8", 7, "--samples 7: at least 8 are needed"),
    ],
)
def test_what_cannot_be_built_is_refused_in_words(model, precision, number, words: str) -> None:
    with pytest.raises(EngineError, match=words):
        build(model, REPOSITORY, precision, number=number)


def test_a_graph_that_openvino_does_not_take_names_the_operator(tmp_path: Path) -> None:
    folder = place_demo(tmp_path, "cris")
    text = (folder / "model.onnx").read_bytes()
    (folder / "model.onnx").write_bytes(text.replace(b"ArgMax", b"ArgMux"))
    with pytest.raises(EngineError, match=r"cris: openvino .* does not take operator ArgMux of node node_\S+$"):
        build("cris", tmp_path, "int8", number=SAMPLES)


def test_a_quantized_network_survives_a_build_that_fails(quantized: Path, tmp_path: Path) -> None:
    shutil.copytree(quantized / "cris", tmp_path / "cris")
    before = contents(tmp_path / "cris" / "1")
    with pytest.raises(EngineError):
        build("cris", tmp_path, "int8", data=tmp_path / "missing.npz")
    assert contents(tmp_path / "cris" / "1") == before


def test_nobody_is_told_of_what_is_quantized() -> None:
    assert isinstance(nncf.telemetry.wrapper.telemetry, nncf.telemetry.wrapper.NNCFTelemetryStub)
    assert os.environ["NNCF_CI"]  # pytest alone would do for the line above
