"""Weights as an exported file holds them: without loss, in fewer bytes.

Weights of which every number is one of FP16 lie there in FP16, and a table of which most rows are equal as its distinct
rows and their numbers. Nodes of standard operators, which read nothing but weights, restore them: engines compute these
once, when they load the network.
"""

from pathlib import Path
from typing import Any

import numpy as np
import onnx_ir as ir
from numpy.typing import NDArray

LEAST = 4096  # bytes; smaller weights are not worth a node
RESTORING = "restore/"
"""The names of the nodes begin so."""


def pack(model: ir.Model) -> None:
    """Hold FP32 weights of `model`, in place, in fewer bytes; those for which that would be a loss stay as they are."""
    graph = model.graph
    for stored in (numbered, halved):  # distinct rows are weights themselves, and may be halves
        for weights in list(graph.initializers.values()):
            if weights.dtype == ir.DataType.FLOAT and not weights.is_graph_output():
                values = array(weights)
                node = stored(str(weights.name), values) if values.nbytes >= LEAST else None
                if node is not None:
                    put(graph, weights, node)


def unpack(model: ir.Model) -> None:
    """Undo `pack`: the graph and the weights that the exporter made, bit for bit."""
    graph = model.graph
    for node in [node for node in graph if (node.name or "").startswith(RESTORING)]:
        stored, [answer] = [value for value in node.inputs if value is not None], node.outputs
        weights = ir.Value(name=answer.name, shape=answer.shape, type=answer.type)
        weights.const_value = ir.Tensor(restored(node.op_type, *map(array, stored)), name=answer.name)
        ir.convenience.replace_all_uses_with(answer, weights)
        graph.remove(node, safe=True)
        for value in stored:
            del graph.initializers[str(value.name)]
        graph.register_initializer(weights)


def load(path: Path) -> ir.Model:
    """The network of an exported file, unpacked."""
    model = ir.load(path)
    unpack(model)
    return model


def halved(name: str, values: NDArray[Any]) -> ir.Node | None:
    """What restores FP32 weights from FP16; None where they would be others."""
    with np.errstate(over="ignore"):
        half = values.astype(np.float16)
    if restored("Cast", half).tobytes() != values.tobytes():
        return None
    return ir.node("Cast", [initializer(f"{name}/half", half)], {"to": ir.DataType.FLOAT}, name=f"{RESTORING}{name}")


def numbered(name: str, values: NDArray[Any]) -> ir.Node | None:
    """What restores FP32 weights from distinct rows and their numbers; None where these are not half as large."""
    rows = np.ascontiguousarray(values).reshape(len(values), -1)
    bits = rows.view(np.dtype((np.void, rows[0].nbytes))).ravel()
    _, first, numbers = np.unique(bits, return_index=True, return_inverse=True)
    numbers, distinct = numbers.astype(np.int32), values[first]
    if 2 * (distinct.nbytes + numbers.nbytes) > values.nbytes:
        return None
    stored = initializer(f"{name}/rows", distinct), initializer(f"{name}/numbers", numbers)
    return ir.node("Gather", stored, name=f"{RESTORING}{name}")


def restored(operator: str, values: NDArray[Any], numbers: NDArray[Any] | None = None) -> NDArray[Any]:
    """What a node of `halved` or `numbered` computes."""
    return values.astype(np.float32) if operator == "Cast" else values[numbers]


def put(graph: ir.Graph, weights: ir.Value, node: ir.Node) -> None:
    """Put what a node restores in the place of weights, under their name."""
    del graph.initializers[str(weights.name)]
    for value in filter(None, node.inputs):
        graph.register_initializer(value)
    [answer] = node.outputs
    answer.name, answer.shape, answer.type = weights.name, weights.shape, weights.type
    ir.convenience.replace_all_uses_with(weights, answer)
    graph.insert_before(graph[0], node)


def initializer(name: str, values: NDArray[Any]) -> ir.Value:
    tensor = ir.Tensor(values, name=name)
    return ir.Value(name=name, shape=ir.Shape(values.shape), type=ir.TensorType(tensor.dtype), const_value=tensor)


def array(value: ir.Value) -> NDArray[Any]:
    """The weights that an initializer holds."""
    assert value.const_value is not None
    return value.const_value.numpy()
