"""Torch network to ONNX file, checked in ONNX Runtime before it takes the place of what is served."""

import hashlib
import importlib.metadata
import json
import logging
import os
import platform
import warnings
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import torch
from torch import Tensor, nn

from export.served_model import ServedModel

OPSET = 18


class CheckFailed(Exception):
    """The exported graph does not compute what the torch network computes; nothing was replaced."""


@dataclass(frozen=True)
class Difference:
    """Largest absolute difference of one checked batch, and the largest absolute value of the torch answer."""

    batch: int
    difference: float
    magnitude: float


def export(
    network: nn.Module, inputs: Sequence[Tensor], names: Sequence[str], outputs: Sequence[str], path: Path
) -> None:
    """Write `network` as ONNX with a dynamic batch, weights inside the file."""
    batch = torch.export.Dim("batch", min=1, max=64)
    with warnings.catch_warnings(), torch.no_grad():
        warnings.simplefilter("ignore")
        for chatty in ("torch.onnx", "onnxscript", "onnx_ir"):
            logging.getLogger(chatty).setLevel(logging.ERROR)
        program = torch.onnx.export(
            network.eval(),
            tuple(inputs),
            dynamo=True,
            opset_version=OPSET,
            input_names=list(names),
            output_names=list(outputs),
            dynamic_shapes=tuple({0: batch} for _ in inputs),
            verbose=False,
        )
    assert program is not None
    strip_traces(program.model)
    program.save(str(path))


def strip_traces(model: Any) -> None:
    """Remove the exporter's notes on every node: they hold source paths of the machine, and differ between machines."""
    for node in model.graph.all_nodes():
        node.metadata_props.clear()
        node.doc_string = None
    model.graph.metadata_props.clear()
    for value in model.graph.initializers.values():
        value.metadata_props.clear()


def session(path: Path, threads: int = 0) -> onnxruntime.InferenceSession:
    """An ONNX Runtime session on the CPU; 0 threads lets it choose."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    return onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])


def check(
    network: nn.Module, path: Path, model: ServedModel, samples: Iterable[tuple[Tensor, ...]]
) -> list[Difference]:
    """Compare the file with the network on `samples`.

    Raises:
        CheckFailed: a difference above the tolerance, or an answer that is not finite.
    """
    onnx_session = session(path)
    differences = []
    for inputs in samples:
        with torch.no_grad():
            expected = network(*inputs).numpy()
        feeds = {name: value.numpy() for name, value in zip(model.inputs, inputs, strict=True)}
        (answer,) = onnx_session.run([model.output], feeds)
        worst = float(np.abs(answer - expected).max())
        magnitude = float(np.abs(expected).max())
        differences.append(Difference(len(expected), worst, magnitude))
        if not worst <= model.tolerance * max(1.0, magnitude):  # also when it is NaN
            raise CheckFailed(
                f"{model.name}: ONNX Runtime differs from torch by {worst:.3g} at batch {len(expected)}, "
                f"allowed {model.tolerance:g} x {max(1.0, magnitude):.3g}; the repository is left as it was"
            )
    return differences


def publish(network: nn.Module, model: ServedModel, repository: Path, source: dict[str, Any]) -> list[Difference]:
    """Export, check, and only then replace `<repository>/<name>/1/model.onnx` and the `model.json` beside it.

    Args:
        source: what the JSON says of the origin: checkpoint digest, network, sizes.

    Raises:
        CheckFailed: see `check`; the files that were there are untouched.
    """
    folder = repository / model.name / "1"
    folder.mkdir(parents=True, exist_ok=True)
    partial = folder / f".model.{os.getpid()}.partial"
    try:
        samples = list(model.samples())
        export(network, samples[1], model.inputs, [model.output], partial)
        differences = check(network, partial, model, samples)
        with partial.open("rb") as stream:
            digest = hashlib.file_digest(stream, "sha256").hexdigest()
        record = {
            "model": model.name,
            **source,
            "onnx_sha256": digest,
            "opset": OPSET,
            "tolerance": model.tolerance,
            "differences": [asdict(difference) for difference in differences],
            "tools": {"python": platform.python_version()}
            | {name: importlib.metadata.version(name) for name in ("torch", "onnx", "onnxscript", "onnxruntime")},
        }
        partial.replace(folder / "model.onnx")
        partial.write_text(json.dumps(record, indent=2) + "\n")
        partial.replace(folder / "model.json")
    finally:
        partial.unlink(missing_ok=True)
    return differences
