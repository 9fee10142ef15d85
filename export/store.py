"""Store exported networks in fewer bytes, without loss."""

from argparse import ArgumentParser, Namespace
from pathlib import Path
from typing import Any

import numpy as np
import onnx_ir as ir
from onnx import numpy_helper

from export import stored_weights
from export.arguments import add_repository
from export.engine_profiles import EngineError
from export.errors import ExportError
from export.fp16 import read
from export.network import Network
from export.networks import every, find
from export.onnx_file import session
from export.publication import MODEL, Staged, exported


class StoringFailed(ExportError):
    """The smaller file would not be the same network."""


def add_arguments(parser: ArgumentParser) -> None:
    add_repository(parser)
    parser.add_argument("networks", nargs="*", metavar="MODEL", help="of the repository (default: all)")


def run(arguments: Namespace) -> None:
    """Store each, and say its size in a line."""
    repository = arguments.model_repository
    names = arguments.networks or [each.name for each in every() if (repository / each.name / "1" / MODEL).is_file()]
    for name in names:
        print(store(repository, name), flush=True)


def store(repository: Path, name: str) -> str:
    """Replace a network's file by a smaller one of the same graph, weights and answers, and carry its records over.

    A file that would not be smaller stays, and so does one whose weights lie beside it: they are mapped, not read.

    Raises:
        EngineError: the network is not exported, or its file is damaged.
        StoringFailed: the smaller file is not the same; the repository is left as it was.
    """
    source, network = exported(repository, name), find(name)
    if network is None:
        raise EngineError(f"{name}: is no network that is exported here")
    size = source.stat().st_size
    original = read(name, source)
    if any(isinstance(each.const_value, ir.ExternalTensor) for each in original.graph.initializers.values()):
        return f"{name}: {size / 1e6:.2f} MB, as it was: its weights lie beside it"
    with Staged(repository, name) as staged:
        packed = read(name, source)
        stored_weights.pack(packed)
        ir.save(packed, staged.model)
        stored = staged.model.stat().st_size
        if stored >= size:
            return f"{name}: {size / 1e6:.2f} MB, as it was"
        check(network, original, source, staged.model)
        staged.exchange()
    return f"{name}: {stored / 1e6:.2f} MB instead of {size / 1e6:.2f}"


def check(network: Network, original: ir.Model, source: Path, stored: Path) -> None:
    """Compare a stored file with the graph it was made of, and its answer to a sample with that of the source.

    Raises:
        StoringFailed: they are not the same.
    """
    if contents(stored_weights.load(stored)) != contents(original):
        raise StoringFailed(f"{network.name}: its graph or weights would be others; the repository is left as it was")
    if answers(network, stored) != answers(network, source):
        raise StoringFailed(f"{network.name}: it would answer otherwise; the repository is left as it was")


def contents(model: ir.Model) -> tuple[bytes, dict[str, tuple[Any, ...]]]:
    """Of a model, to compare: all but the weights, and these by name; their order in a file means nothing."""
    proto = ir.to_proto(model)
    graph = proto.graph
    arrays = {each.name: numpy_helper.to_array(each) for each in graph.initializer}
    weights = {name: (array.dtype.str, array.shape, array.tobytes()) for name, array in arrays.items()}
    types = sorted(graph.value_info, key=lambda value: value.name)
    del graph.initializer[:], graph.value_info[:]
    graph.value_info.extend(types)
    return proto.SerializeToString(deterministic=True), weights


def answers(network: Network, path: Path) -> list[bytes]:
    """Of a file of a network, to one sample, an output each."""
    feeds = network.feeds(next(network.samples()))
    return [np.asarray(each).tobytes() for each in session(path).run(None, feeds)]
