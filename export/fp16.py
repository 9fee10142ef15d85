"""The FP16 form of an exported network, for ONNX Runtime on a GPU, put where the profile `fp16` looks for it.

The same graph is what a TensorRT engine in FP16 is built from.
"""

from dataclasses import asdict
from pathlib import Path
from typing import Any

import onnx_ir
import onnxruntime
from google.protobuf.message import DecodeError  # type: ignore[import-untyped]

from concord.repository.profiles import FP16_FILE, fp16
from concord.variants import sha256
from export import direct_form, half_precision, judgement, standard_attention, stored_weights
from export.engine_profiles import EngineError
from export.judgement import Answering
from export.networks import every, find
from export.onnx_file import session
from export.publication import MODEL, Staged, exported

PROFILE = fp16.__name__
LEAST_SNR = 35.0  # dB; half has 11 bits, and what sums many small errors up is an island


def build(model: str, repository: Path, precision: str) -> str:
    """Rewrite it, compare it with the exported network, and only then put it in place; a line says what is there now.

    Raises:
        EngineError: the model is not exported, or cannot be built as asked for, or does not compute what it should.
    """
    source = exported(repository, model)
    if precision != "fp16":
        raise EngineError(f"{model}: onnxruntime reads {MODEL} itself; there is --precision fp16 to build for it")
    served = [network.name for network in every() if PROFILE in network.serving.profiles]
    if model not in served:
        raise EngineError(f"{model}: the profile {PROFILE} is for {', '.join(served)}")
    with Staged(repository, model) as staged:
        graph, islands = halved(model, source, staged.stage)
        record = {
            "model": model,
            "engine": "onnxruntime",
            "version": onnxruntime.__version__,
            "precision": precision,
            "fp32_islands": islands,
            **compared(model, repository, graph),
            "onnx_sha256": sha256(source),
            "fp16_sha256": sha256(graph),
        }
        weights = graph.with_suffix(".weights")
        size = graph.stat().st_size + weights.stat().st_size
        place = staged.place(record, weights.name, FP16_FILE)
    [ratio] = record["snr_db"]
    return f"{model}: onnxruntime, {precision}, {size / 1e6:.1f} MB, {ratio:.1f} dB, is now {place}"


def halved(model: str, source: Path, folder: Path, standard: bool = False) -> tuple[Path, list[dict[str, Any]]]:
    """A copy of the network in half precision, with direct convolutions, in `folder`; and its FP32 islands.

    Args:
        standard: whether it has standard operators only.

    Raises:
        EngineError: nobody has said what of this model has to stay in FP32, or the file is damaged.
    """
    network = find(model)
    if network is None or not network.islands:
        raise EngineError(f"{model}: what has to stay in FP32 is not known; it can be built with --precision fp32")
    islands, path = network.islands, folder / FP16_FILE
    graph = read(model, source)
    direct_form.convert(graph)  # GPUs have fast ones, and half has no digits for the products of the other form
    if standard:
        standard_attention.convert(graph)
    half_precision.convert(graph, islands)
    onnx_ir.save(graph, path, external_data=path.with_suffix(".weights").name)
    return path, [asdict(island) for island in islands]


def read(model: str, source: Path) -> onnx_ir.Model:
    """The graph of an exported network; EngineError if the file is damaged."""
    try:
        return stored_weights.load(source)
    except DecodeError as error:
        raise EngineError(f"{model}: {source} is damaged: {error}") from error


def compared(model: str, repository: Path, graph: Path) -> dict[str, Any]:
    """The record's entries of `judgement.compared`; empty where it is not known what the model sees.

    Computed on the processor, which rounds every value of the graph to half as a GPU does.
    """

    def load() -> Answering:
        half = session(graph)
        return lambda feeds: half.run(None, dict(feeds))

    network = find(model)
    if network is None or network.seen is None:
        return {}
    return judgement.compared(model, repository, load, LEAST_SNR)
