"""Compare networks with numeric answers of the published ones, for weights made by a rule.

A golden file (`.npz`) describes itself: its `meta` names the model, the seed, the inputs as expressions over the rule's
functions, and for each output the kept slice and the tolerance. Weights and inputs come from the rule, a Python file
that is run as it is: give it only a file you trust. A golden file need not be trusted.
"""

import ast
import importlib.util
import json
import re
import tempfile
import zipfile
import zlib
from argparse import ArgumentParser, Namespace
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from export import checkpoint
from export.checkpoint import CheckpointError
from export.networks import every
from export.onnx_file import export, session

_NODES = (
    *(ast.Expression, ast.Constant, ast.Tuple, ast.List, ast.Name, ast.Load, ast.Attribute, ast.Subscript, ast.Slice),
    *(ast.Call, ast.keyword, ast.UnaryOp, ast.unaryop, ast.BinOp, ast.operator),
    *(ast.Compare, ast.cmpop),
)
_ATTRIBUTES = {"arange", "array", "astype", "concatenate", "float32", "stack", "uint64", "where"}
Answers = dict[str, NDArray[Any]]
Asked = Callable[[int], Answers]
Ask = Callable[[nn.Module, list[str], list[Tensor], list[str]], Asked]


def add_arguments(parser: ArgumentParser) -> None:
    parser.add_argument("--rule", type=Path, required=True, help="Python file that makes the weights and inputs")
    parser.add_argument("files", type=Path, nargs="+", metavar="FILE.npz")
    parser.add_argument("--torch", action="store_true", help="ask the networks as they are loaded, and export none")


def run(arguments: Namespace) -> int:
    """0 if every output of every file is within its tolerance, else 1."""
    return compare(arguments.rule, arguments.files, exported=not arguments.torch)


def compare(rule_path: Path, files: list[Path], *, exported: bool = True) -> int:
    """Check every file, one printed line each; 0 if all are within their tolerances, else 1."""
    rule = load_rule(rule_path)
    failed = 0
    for file in files:
        try:
            line, passed = check_file(rule, file, ask=ask_exported if exported else ask_torch)
        except CheckpointError as error:
            line, passed = str(error), False
        print(f"{'ok  ' if passed else 'FAIL'} {file.name}: {line}", flush=True)
        failed += not passed
    return min(failed, 1)


def load_rule(path: Path) -> ModuleType:
    """Import the rule from its path."""
    spec = importlib.util.spec_from_file_location("golden_rule", path)
    if not path.is_file() or spec is None or spec.loader is None:
        raise CheckpointError(f"{path}: no such Python file")
    rule = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(rule)
    return rule


def check_file(rule: ModuleType, path: Path, ask: Ask) -> tuple[str, bool]:
    """One file: the text of its line, and whether every output is within its tolerance.

    Raises:
        CheckpointError: unreadable, of an unknown network, or its weights or inputs do not follow from the rule.
    """
    try:
        with path.open("rb") as stream, np.load(stream, allow_pickle=False) as npz:
            golden = {name: npz[name] for name in npz.files}
        meta = json.loads(str(golden["meta"]))
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile) as error:
        raise CheckpointError(f"not a golden file ({checkpoint.first_line(error)})") from error
    published = {name: build for network in every() for name, build in network.published.items()}
    if meta["model"] not in published:
        raise CheckpointError(f"unknown network {meta['model']!r}; known: {', '.join(published)}")
    network = published[meta["model"]]().eval()
    checkpoint.load(network, draw_weights(rule, golden, meta))
    inputs = [draw_input(rule, name, entry) for name, entry in meta["inputs"].items()]
    # An output named `x_batch1` is the network's output x of so many samples.
    outputs = {name: re.sub(r"_batch\d+$", "", name) for name in meta["outputs"]}
    asked = ask(network, list(meta["inputs"]), inputs, list(dict.fromkeys(outputs.values())))
    by_batch = {batch: asked(batch) for batch in {entry["shape"][0] for entry in meta["outputs"].values()}}
    answers = {name: by_batch[entry["shape"][0]][outputs[name]] for name, entry in meta["outputs"].items()}
    errors = {}
    for name, entry in meta["outputs"].items():
        errors[name] = distance(answers[name], entry, golden[f"out/{name}"]) / entry["tolerance"]
    worst = max(errors, key=lambda name: np.nan_to_num(errors[name], nan=np.inf))
    tolerance = meta["outputs"][worst]["tolerance"]
    line = f"largest difference {errors[worst] * tolerance:.2e} in {worst}, tolerance {tolerance:g}"
    passed = errors[worst] <= 1
    if not passed:
        line += "; " + first_divergence(network, meta, golden, inputs)
    return line, passed


def distance(value: NDArray[Any], entry: dict[str, Any], kept: NDArray[Any]) -> float:
    """Largest difference of a value to the slice of it that a file keeps; behind the file's shape there is padding."""
    sides = zip(entry["shape"], entry["steps"].split(","), strict=True)
    return float(np.abs(value[tuple(slice(None, size, int(step)) for size, step in sides)] - kept).max())


def draw_weights(rule: ModuleType, golden: Answers, meta: dict[str, Any]) -> dict[str, Tensor]:
    """The weights of a file by the rule, checked against the file's checksum; those that are published are the file's.

    Some are made smaller than the rule has them: `scale`, of `meta`.
    """
    lines = (str(line).split() for line in golden["keys"])
    shapes = {key: () if shape == "scalar" else tuple(map(int, shape.split("x"))) for key, shape in lines}
    drawn = rule.state_dict(shapes, meta["seed"])
    for key, factor in meta.get("scale", {}).items():
        drawn[key] = drawn[key] * np.float32(factor)
    checksum = 0
    for value in drawn.values():
        checksum = zlib.crc32(value.tobytes(), checksum)
    if f"{checksum:08x}" != meta["weights_crc32"]:
        raise CheckpointError("the rule's weights are not those of the file (checksum)")
    fixed = {name.removeprefix("fixed/"): value for name, value in golden.items() if name.startswith("fixed/")}
    return {key: torch.from_numpy(value) for key, value in (drawn | fixed).items()}


def draw_input(rule: ModuleType, name: str, entry: dict[str, Any]) -> Tensor:
    """One input, from its expression over the rule's functions, checked against the file's checksum."""
    value = np.ascontiguousarray(evaluated(rule, entry["expression"]))
    if f"{zlib.crc32(value.tobytes()):08x}" != entry["crc32"]:
        raise CheckpointError(f"the rule's input {name} is not that of the file (checksum)")
    return torch.from_numpy(value)


def evaluated(rule: ModuleType, expression: str) -> Any:
    """The value of an expression: arithmetic, indexing, the functions that the rule defines, and a few of numpy's.

    Raises:
        CheckpointError: it is none, or there is anything else in it.
    """
    names = {name: each for name, each in vars(rule).items() if getattr(each, "__module__", "") == rule.__name__}
    names["np"] = np
    try:
        tree = ast.parse(expression, mode="eval")
    except (SyntaxError, ValueError) as error:
        raise CheckpointError(f"{expression[:80]!r} is no expression") from error
    for node in ast.walk(tree):
        foreign = isinstance(node, ast.Name) and node.id not in names
        foreign |= isinstance(node, ast.Attribute) and node.attr not in _ATTRIBUTES
        if foreign or not isinstance(node, _NODES):
            raise CheckpointError(f"{ast.unparse(node)[:80]!r} may not be in an expression")
    return eval(compile(tree, "expression", "eval"), {**names, "__builtins__": {}})  # noqa: S307 - of listed names only


def ask_exported(network: nn.Module, names: list[str], inputs: list[Tensor], outputs: list[str]) -> Asked:
    """Exports at a dynamic batch; what is returned asks ONNX Runtime."""
    # A node of the graph may have one of the names itself.
    read, written = [f"given_{name}" for name in names], [f"answer_{name}" for name in outputs]
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "model.onnx"
        export(
            network, [torch.cat((value, value)) if len(value) == 1 else value for value in inputs], read, written, path
        )
        onnx_session = session(path)

    def asked(batch: int) -> Answers:
        feeds = {name: value[:batch].numpy() for name, value in zip(read, inputs, strict=True)}
        return dict(zip(outputs, onnx_session.run(written, feeds), strict=True))

    return asked


def ask_torch(network: nn.Module, _names: list[str], inputs: list[Tensor], outputs: list[str]) -> Asked:
    """What is returned asks the network itself."""

    def asked(batch: int) -> Answers:
        with torch.no_grad():
            answer = network(*(value[:batch] for value in inputs))
        values = answer if isinstance(answer, tuple) else (answer,)
        return {name: value.numpy() for name, value in zip(outputs, values, strict=True)}

    return asked


def first_divergence(
    network: nn.Module, meta: dict[str, Any], golden: dict[str, NDArray[Any]], inputs: list[Tensor]
) -> str:
    """Name the first intermediate value of the file that the torch network does not reproduce (first sample only)."""
    seen: dict[str, NDArray[Any]] = {}
    taps = {name: entry for name, entry in meta["taps"].items() if entry["module"] in dict(network.named_modules())}

    def keep(name: str) -> Callable[[nn.Module, Any, Any], None]:
        def hook(_module: nn.Module, _inputs: Any, output: Any) -> None:
            seen[name] = (output[0] if isinstance(output, tuple) else output).numpy()

        return hook

    hooks = [network.get_submodule(entry["module"]).register_forward_hook(keep(name)) for name, entry in taps.items()]
    with torch.no_grad():
        network(*(value[:1] for value in inputs))
    for hook in hooks:
        hook.remove()
    for name, entry in taps.items():
        value = seen[name]
        if list(value.shape) != entry["shape"] and value.ndim == 3:
            value = value.swapaxes(0, 1)  # the published transformers run sequence first
        if list(value.shape) != entry["shape"]:
            continue
        difference = distance(value, entry, golden[f"tap/{name}"])
        if not difference <= 1e-3 * max(1.0, float(np.abs(golden[f"tap/{name}"]).max())):
            return f"first divergence behind {entry['module']}: {difference:.2e}"
    return "no intermediate value diverges"
