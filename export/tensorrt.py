"""A TensorRT engine ("plan") of an exported network, built and put where the profile `tensorrt` looks for it.

Both flavours have one API. `tensorrt` builds on and for the GPU at hand, and its plans are what Triton's backend loads;
`tensorrt-rtx` also builds where there is no GPU, for a compute capability that is named.
"""

import hashlib
import importlib
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import onnx_ir
import torch

from concord.repository.profiles import PLAN_FILE, tensorrt
from concord.variants import sha256
from concord_client.atomic_file import write_atomically
from export import engine_profiles, fp16, standard_attention
from export.engine_profiles import EngineError, Profile, written
from export.network import Network
from export.networks import find
from export.publication import Staged, exported, record_of

FLAVOURS = {"tensorrt": "tensorrt", "tensorrt-rtx": "tensorrt-rtx-cu13"}  # to the package that brings it
TYPES = {"FLOAT": "TYPE_FP32", "UINT8": "TYPE_UINT8", "INT32": "TYPE_INT32", "INT64": "TYPE_INT64"}
"""TensorRT's names to Triton's."""
CACHE = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "concord"

Precision = Literal["fp32", "fp16"]


@dataclass(frozen=True)
class Library:
    """TensorRT's Python package `trt` of a flavour, and what it builds for.

    `compute_capability` is such as "8.9"; `device` is the GPU at hand, None where another one is built for.
    """

    trt: Any
    flavour: str
    compute_capability: str
    device: str | None

    def __str__(self) -> str:
        return f"{self.flavour} {self.trt.__version__}"


def build(
    model: str,
    repository: Path,
    flavour: str,
    precision: Precision = "fp32",
    profiles: Mapping[str, Profile] | None = None,
    compute_capability: str | None = None,
) -> str:
    """Build the engine of an exported model, and only then put it in place; a line says what is there now.

    Args:
        profiles: of inputs for which the defaults are not wanted.
        compute_capability: without it, that of the GPU at hand.

    Raises:
        EngineError: the flavour is not installed, or the model not exported, or it cannot be built as asked for.
    """
    source = exported(repository, model)
    network = find(model)
    if network is None or tensorrt.__name__ not in network.serving.profiles:
        raise EngineError(f"{model}: has no profile {tensorrt.__name__}, so Triton would not look for an engine")
    library = load(flavour, compute_capability)
    with Staged(repository, model) as staged:
        exact, islands = precision == "fp32", list[dict[str, Any]]()
        if exact:
            graph = standard(model, source, staged.stage)
        else:
            graph, islands = fp16.halved(model, source, staged.stage, standard=True)
        log = error_log(library.trt)
        builder = library.trt.Builder(log)
        parsed = parse(library, builder, log, graph, model)
        bindings = bindings_of(parsed)
        check_bindings(network, bindings)
        inputs = [parsed.get_input(number) for number in range(parsed.num_inputs)]
        engine_profiles.check(model, profiles or {}, {tensor.name: tuple(tensor.shape) for tensor in inputs})
        merged = engine_profiles.defaults(network.inputs, network.serving.gpu_batch) | dict(profiles or {})
        settings = configure(library, builder, merged, precision)
        compared = compared_exported(model, repository) if exact else fp16.compared(model, repository, graph)
        serialized = serialize(library, builder, parsed, settings)
        if serialized is None:
            reason = log.errors[-1] if log.errors else "no reason given"
            raise EngineError(f"{model}: {library} cannot build it: {reason}")
        plan = memoryview(serialized)
        record = {
            "model": model,
            "flavour": flavour,
            "version": library.trt.__version__,
            "compute_capability": library.compute_capability,
            "device": library.device,
            "precision": precision,
            "fp32_islands": islands,
            "profiles": {name: str(profile) for name, profile in merged.items()},
            "bindings": bindings,
            **compared,
            "onnx_sha256": sha256(source),
            "plan_sha256": hashlib.sha256(plan).hexdigest(),
        }
        (staged.stage / PLAN_FILE).write_bytes(plan)
        place = staged.place(record, PLAN_FILE)
    size = plan.nbytes / 1e6
    return f"{model}: {library} for {library.compute_capability}, {precision}, {size:.1f} MB, is now {place}"


def load(flavour: str, compute_capability: str | None) -> Library:
    """The package of a flavour, to build for a compute capability or for the GPU at hand.

    Raises:
        EngineError: it is not installed, there is no GPU at hand, or it does not build for the one that was named.
    """
    try:
        trt: Any = importlib.import_module(flavour.replace("-", "_"))
    except ImportError as error:
        raise EngineError(f"{flavour} is not installed: pip install {FLAVOURS[flavour]} ({error})") from error
    if compute_capability is None:
        if not torch.cuda.is_available():
            instead = " (or name one: --compute-capability)" if flavour == "tensorrt-rtx" else ""
            raise EngineError(f"{flavour} builds for the GPU at hand, and torch sees none{instead}")
        found = ".".join(map(str, torch.cuda.get_device_capability()))
        return Library(trt, flavour, found, torch.cuda.get_device_name())
    if flavour != "tensorrt-rtx":
        raise EngineError(f"{flavour} builds for the GPU at hand only, not for --compute-capability")
    known = [f"{name[2:-1]}.{name[-1]}" for name in trt.ComputeCapability.__members__ if name.startswith("SM")]
    if compute_capability not in known:
        raise EngineError(f"{flavour} builds for {', '.join(known)}, not for compute capability {compute_capability}")
    return Library(trt, flavour, compute_capability, None)


def standard(model: str, source: Path, folder: Path) -> Path:
    """The network with standard operators only, in a file of the folder; EngineError if it is damaged."""
    graph = fp16.read(model, source)
    standard_attention.convert(graph)
    path = folder / "standard.onnx"
    onnx_ir.save(graph, path, external_data=f"{path.stem}.weights")
    return path


def compared_exported(model: str, repository: Path) -> dict[str, Any]:
    """What the record of the exported network says of it, whose graph the plan's is."""
    record = record_of(repository, model)
    return {name: record[name] for name in ("differences", "tolerance") if name in record}


def error_log(trt: Any) -> Any:
    """A logger that prints nothing and keeps the errors as `errors`."""

    class ErrorLog(trt.ILogger):  # type: ignore[misc]
        def __init__(self) -> None:
            super().__init__()
            self.errors: list[str] = []

        def log(self, severity: Any, message: str) -> None:
            if severity in (trt.ILogger.INTERNAL_ERROR, trt.ILogger.ERROR):
                self.errors.append(" ".join(message.split()))

    return ErrorLog()


def parse(library: Library, builder: Any, log: Any, path: Path, model: str) -> Any:
    """The strongly typed network of an ONNX file; weights beside it are found.

    Raises:
        EngineError: names the operators that are not taken, with a node of each.
    """
    trt = library.trt
    network = builder.create_network(1 << int(trt.NetworkDefinitionCreationFlag.STRONGLY_TYPED))
    parser = trt.OnnxParser(network, log)
    if parser.parse_from_file(str(path)):
        return network
    errors = [parser.get_error(number) for number in range(parser.num_errors)]
    first = {error.node_operator(): error for error in reversed(errors)}
    if not all(first):
        raise EngineError(f"{model}: {library} cannot read {path.name}: {errors[0].desc()}")
    nodes = ", ".join(f"operator {operator} of node {error.node_name()}" for operator, error in sorted(first.items()))
    raise EngineError(f"{model}: {library} does not take {nodes}")


def bindings_of(network: Any) -> dict[str, str]:
    """Type and shape, batch first, of every input and output, such as "TYPE_FP32 -1x4x-1x-1"."""
    tensors = [network.get_input(number) for number in range(network.num_inputs)]
    tensors += [network.get_output(number) for number in range(network.num_outputs)]
    return {
        tensor.name: f"{TYPES.get(tensor.dtype.name, tensor.dtype.name)} {written(tensor.shape)}" for tensor in tensors
    }


def check_bindings(network: Network, found: Mapping[str, str]) -> None:
    """Refuse a graph that is not what the network's configuration tells Triton.

    Raises:
        EngineError: names the tensors.
    """
    told = {
        tensor.name: f"TYPE_{tensor.kind} {written((-1, *tensor.dims))}"
        for tensor in (*network.inputs, *network.outputs)
    }
    wrong = sorted(name for name in told.keys() | found.keys() if told.get(name) != found.get(name))
    if wrong:
        both = ", ".join(f"{name} is {found.get(name, 'missing')}, not {told.get(name, 'there')}" for name in wrong)
        raise EngineError(f"{network.name}: is not the network of its configuration: {both}")


def configure(library: Library, builder: Any, profiles: Mapping[str, Profile], precision: Precision) -> Any:
    """The builder's settings."""
    trt = library.trt
    settings = builder.create_builder_config()
    if precision == "fp32":
        # TF32 keeps as many digits as half. In islands it may stay, which are there for half's range.
        settings.clear_flag(trt.BuilderFlag.TF32)
    if library.flavour == "tensorrt-rtx":
        name = "CURRENT" if library.device else f"SM{library.compute_capability.replace('.', '')}"
        settings.num_compute_capabilities = 1
        settings.set_compute_capability(trt.ComputeCapability.__members__[name], 0)
    shapes = builder.create_optimization_profile()
    for name, profile in profiles.items():
        shapes.set_shape(name, profile.least, profile.best, profile.largest)
    settings.add_optimization_profile(shapes)
    return settings


def serialize(library: Library, builder: Any, network: Any, settings: Any) -> Any:
    """The plan; None where the builder failed."""
    if library.flavour == "tensorrt-rtx":  # times nothing: it chooses kernels when the plan is loaded
        return builder.build_serialized_network(network, settings)
    device = "".join(letter if letter.isalnum() else "-" for letter in library.device or "")
    path = CACHE / f"tensorrt-{library.trt.__version__}-{device}.timing"
    kept = path.read_bytes() if path.is_file() else b""
    cache = settings.create_timing_cache(kept) or settings.create_timing_cache(b"")
    settings.set_timing_cache(cache, ignore_mismatch=False)
    plan = builder.build_serialized_network(network, settings)
    timed = settings.get_timing_cache()
    if plan is not None and timed is not None:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_atomically(path, bytes(memoryview(timed.serialize())))
    return plan
