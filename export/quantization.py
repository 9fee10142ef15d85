"""The INT8 form of an exported network, for OpenVINO, put where the profile `int8` looks for it.

NNCF's post-training quantization of weights and activations, calibrated on what the network sees in service. In FP32
and BF16 OpenVINO reads the exported network itself.
"""

import logging
import re
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import nncf
import openvino as ov
from nncf.quantization.range_estimator import RangeEstimatorParametersSet

from concord.openvino_properties import properties
from concord.repository.profiles import INT8_FILE
from concord.variants import sha256
from export import calibration, direct_form, judgement
from export.engine_profiles import EngineError
from export.judgement import Answering
from export.network import Feeds, Quantization
from export.networks import every, find
from export.publication import MODEL, Staged, exported

LEAST_SNR = 12.0  # dB
PRODUCTS = ("Convolution", "ConvolutionBackpropData", "MatMul")


def build(model: str, repository: Path, precision: str, data: Path | None = None, number: int = 60) -> str:
    """Build it, compare it with the exported network, and only then put it in place; a line says what is there now.

    Args:
        data: an `.npz` file to calibrate on, instead of so many samples from scenes; see `calibration.read`.

    Raises:
        EngineError: the model is not exported, or cannot be built as asked for, or does not compute what it should.
    """
    source = exported(repository, model)
    if precision != "int8":
        raise EngineError(f"{model}: openvino reads {MODEL} itself; there is --precision int8 to build for it")
    network = find(model)
    if network is None or network.quantization is None:
        able = ", ".join(network.name for network in every() if network.quantization)
        raise EngineError(f"{model}: INT8 is for {able}")
    how = network.quantization
    if number < calibration.LEAST:
        raise EngineError(f"--samples {number}: at least {calibration.LEAST} are needed")
    with Staged(repository, model) as staged:
        graph = read(model, source, staged.stage)
        inputs = {tensor.any_name: shape(tensor) for tensor in graph.inputs}
        seen = calibration.read(data, inputs) if data else calibration.feeds(model, repository, number)
        quantized = quantize(graph, seen, how)
        compared = judgement.compared(model, repository, lambda: answering(quantized), LEAST_SNR)
        record = {
            "model": model,
            "engine": "openvino",
            "version": ov.get_version(),
            "precision": precision,
            "quantization": asdict(how),
            "samples": len(seen),
            "onnx_sha256": sha256(source),
            **compared,
        }
        path = staged.stage / INT8_FILE
        ov.save_model(quantized, path, compress_to_fp16=False)
        place = staged.place(record | {"xml_sha256": sha256(path)}, path.with_suffix(".bin").name, INT8_FILE)
    size = place.stat().st_size + place.with_suffix(".bin").stat().st_size
    return f"{model}: openvino, {precision}, {size / 1e6:.1f} MB, {compared['snr_db'][0]:.1f} dB, is now {place}"


def read(model: str, source: Path, folder: Path) -> ov.Model:
    """OpenVINO's model of an exported network, with weights in `folder`; EngineError where it is not taken."""
    path = folder / "direct.onnx"
    graph = direct_form.write(source, path).graph
    try:
        return ov.Core().read_model(path)  # not `convert_model`, which tells its makers of every use
    except RuntimeError as error:
        _, _, summary = str(error).rpartition("No conversion rule found for operations:")
        operators = set(re.findall(r"(\w+)-\d+", summary.partition("\n")[0]))
        first = {node.op_type: node.name for node in reversed(graph) if node.op_type in operators}
        nodes = [f"operator {operator} of node {name}" for operator, name in sorted(first.items())]
        said = ", ".join(nodes) or " ".join(str(error).split())
        raise EngineError(f"{model}: openvino {ov.get_version()} does not take {said}") from error


def shape(tensor: Any) -> tuple[int, ...]:
    """Of an input, batch first; -1 is any size."""
    return tuple(size.get_length() if size.is_static else -1 for size in tensor.partial_shape)


def quantize(network: ov.Model, seen: Sequence[Feeds], how: Quantization) -> ov.Model:
    """The network with weights and activations in INT8, but for what stays in FP32."""
    nncf.set_log_level(logging.ERROR)
    kept = vector_products(network) | (end_products(network, how.joining) if how.ends else set())
    return nncf.quantize(
        network,
        nncf.Dataset(seen),
        preset=nncf.QuantizationPreset.MIXED,
        subset_size=len(seen),
        model_type=nncf.ModelType.TRANSFORMER if how.transformer else None,
        ignored_scope=nncf.IgnoredScope(names=sorted(kept), types=list(how.types), validate=False),
        # All that was seen: what NNCF cuts off by default makes every change a little weaker.
        advanced_parameters=nncf.AdvancedQuantizationParameters(
            activations_range_estimator_params=RangeEstimatorParametersSet.MINMAX
        ),
    )


def vector_products(network: ov.Model) -> set[str]:
    """Names of the products that give a vector for each sample: of little work, and what they say is said to all."""
    products = (node for node in network.get_ordered_ops() if node.get_type_name() == "MatMul")
    return {node.get_friendly_name() for node in products if node.get_output_partial_shape(0).rank.get_length() == 2}


def end_products(network: ov.Model, joining: Collection[str] = ()) -> set[str]:
    """Names of the products before which there is none on the way from an input, or after which none to an answer.

    Args:
        joining: inputs that are left out.
    """
    first = nearest(
        (start for start in network.get_parameters() if start.output(0).any_name not in joining),
        lambda node: (each.get_node() for tensor in node.outputs() for each in tensor.get_target_inputs()),
    )
    return first | nearest(
        network.get_results(), lambda node: (tensor.get_source_output().get_node() for tensor in node.inputs())
    )


def nearest(starts: Iterable[ov.Node], following: Callable[[ov.Node], Iterable[ov.Node]]) -> set[str]:
    """Names of the first products on every way from the nodes; ways of shapes are not followed."""
    found, seen, waiting = set(), set(), list(starts)
    while waiting:
        for node in following(waiting.pop()):
            name, kind = node.get_friendly_name(), node.get_type_name()
            if kind in PRODUCTS:
                found.add(name)
            elif kind != "ShapeOf" and name not in seen:
                seen.add(name)
                waiting.append(node)
    return found


def answering(network: ov.Model) -> Answering:
    compiled = ov.Core().compile_model(network, "CPU", properties({}))
    return lambda feeds: list(compiled(feeds).values())
