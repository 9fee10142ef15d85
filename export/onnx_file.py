"""Torch network to ONNX file, checked in ONNX Runtime before it takes the place of what is served."""

import importlib.metadata
import logging
import platform
import warnings
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass
from itertools import starmap
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import onnx_ir
import onnxruntime
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from export import stored_weights
from export.errors import ExportError
from export.gradient_graph import WithGradient, traced
from export.network import BATCH, Axes, Network
from export.publication import Staged
from export.recomputed import recomputing

OPSET = 18
# Weights above this lie beside the model: a protobuf message ends at 2 GB, and external data is mapped, not copied.
INSIDE_LIMIT = 256 * 1024**2
Answers: TypeAlias = Sequence[NDArray[Any]]


class CheckFailed(ExportError):
    """The exported graph does not compute what the torch network computes."""


@dataclass(frozen=True)
class Difference:
    """Largest absolute difference of one checked batch, and the largest absolute value of the torch answer."""

    batch: int
    difference: float
    magnitude: float

    def __str__(self) -> str:
        return f"batch {self.batch}, ONNX Runtime differs from torch by {self.difference:.2e}"


def export(
    network: nn.Module,
    inputs: Sequence[Tensor],
    names: Sequence[str],
    outputs: Sequence[str],
    path: Path,
    axes: Axes | None = None,
) -> None:
    """Write `network` as ONNX; weights packed in it, or beside it if they are large. Axis 0 is dynamic by default."""
    with warnings.catch_warnings(), torch.no_grad():
        warnings.simplefilter("ignore")
        for chatty in ("torch.onnx", "onnxscript", "onnx_ir"):
            logging.getLogger(chatty).setLevel(logging.ERROR)
        # Its rules look at every pair of nodes, which takes long for a backward pass; engines have rules of their own.
        optimized = not isinstance(network, WithGradient)
        if isinstance(network, WithGradient):
            network = traced(network, inputs)
        program = torch.onnx.export(
            network.eval(),
            tuple(inputs),
            dynamo=True,
            opset_version=OPSET,
            input_names=list(names),
            output_names=list(outputs),
            dynamic_shapes=axes or tuple({0: BATCH} for _ in inputs),
            verbose=False,
            optimize=optimized,
        )
    assert program is not None
    strip_traces(program.model)
    weights = sum(value.const_value.nbytes for value in program.model.graph.initializers.values() if value.const_value)
    beside = f"{path.stem}.weights" if weights > INSIDE_LIMIT else None
    if beside is None:
        stored_weights.pack(program.model)
    onnx_ir.save(program.model, path, external_data=beside, size_threshold_bytes=1024, alignment=4096)


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
    options.log_severity_level = 3  # it warns of every operator in half that it computes in FP32
    return onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])


def answers(network: nn.Module, samples: Iterable[tuple[Tensor, ...]]) -> list[Answers]:
    """What the torch network answers to every sample, one array an output."""
    blocks = network.blocks() if isinstance(network, WithGradient) else []
    with torch.no_grad(), recomputing(blocks):
        given = (network(*inputs) for inputs in samples)
        return [[each.numpy() for each in (value if isinstance(value, tuple) else (value,))] for value in given]


def check(path: Path, model: Network, expected: Sequence[Answers]) -> list[Difference]:
    """Compare what the file answers to the model's samples with the torch network's.

    Raises:
        CheckFailed: an answer differs, or the file cannot answer the warm-up, without which no server becomes ready.
    """
    onnx_session = session(path)
    names = [tensor.name for tensor in model.outputs]
    differences = []
    for inputs, wanted in zip(model.samples(), expected, strict=True):
        found = onnx_session.run(names, model.feeds(inputs))
        each = list(starmap(compared, zip(found, wanted, strict=True)))
        differences.append(max(each, key=lambda one: one.difference / max(1.0, one.magnitude)))
        for name, one in zip(names, each, strict=True):
            allowed = model.tolerance * max(1.0, one.magnitude)
            if not one.difference <= allowed:  # also when it is NaN
                raise CheckFailed(
                    f"{model.name}: {name} of ONNX Runtime differs from torch's by {one.difference:.3g} at batch "
                    f"{one.batch}, allowed is {allowed:.3g}; the repository is left as it was"
                )
    try:
        onnx_session.run(names, model.warmup())
    except Exception as error:  # ONNX Runtime's have no class in common
        raise CheckFailed(f"{model.name}: it cannot answer its warm-up; the repository is left as it was") from error
    return differences


def compared(found: NDArray[Any], wanted: NDArray[Any]) -> Difference:
    """Of one output."""
    worst = float(np.abs(found.astype(np.float32) - wanted.astype(np.float32)).max())
    return Difference(len(wanted), worst, float(np.abs(wanted).max()))


def write(staged: Staged, network: nn.Module, model: Network) -> None:
    """Export into the stage."""
    names = [tensor.name for tensor in model.inputs]
    outputs = [tensor.name for tensor in model.outputs]
    export(network, model.traced(), names, outputs, staged.model, model.axes)
    staged.name_weights()


def verify(staged: Staged, model: Network, expected: Sequence[Answers], source: dict[str, Any]) -> list[Difference]:
    """Check the staged model against the answers that it must give, and write the record, with `source`, beside it."""
    differences = check(staged.model, model, expected)
    staged.write_record(
        {
            **source,
            "opset": OPSET,
            "tolerance": model.tolerance,
            "differences": [asdict(difference) for difference in differences],
            "tools": {"python": platform.python_version()}
            | {name: importlib.metadata.version(name) for name in ("torch", "onnx", "onnxscript")}
            | {"onnxruntime": onnxruntime.__version__},  # the package for GPUs has another name
        }
    )
    return differences


def publish(
    network: nn.Module,
    model: Network,
    repository: Path,
    source: dict[str, Any],
    rewrite: Callable[[nn.Module], None] | None = None,
) -> list[Difference]:
    """Export, check, and only then replace `<repository>/<name>/1/model.onnx` and the `model.json` beside it.

    Args:
        source: what the JSON says of the origin: checkpoint digest, network, sizes.
        rewrite: brings the network into the form that is exported, after it has given the answers to compare with.

    Raises:
        CheckFailed: a difference above the tolerance; the files that were there are untouched.
    """
    expected = answers(network, model.samples())
    if rewrite:
        rewrite(network)
    with Staged(repository, model.name) as staged:
        write(staged, network, model)
        differences = verify(staged, model, expected, source)
        staged.switch()
    return differences
