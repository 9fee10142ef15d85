"""Exported networks in half precision, but for the islands that have to stay in FP32.

A strongly typed TensorRT network computes each operation in the type its ONNX graph says, so the graph itself is
rewritten. ONNX Runtime's converter is not used for that: it rounds to half between two neighbours in an island, and
defines a value twice that two nodes of an island read.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase

import numpy as np
import onnx_ir as ir


@dataclass(frozen=True)
class Island:
    """Nodes that compute in FP32, and why.

    `operators` are their types, `nodes` patterns of their names (`fnmatch`). `upstream`: whatever leads to them too;
    `downstream`: the arithmetic on nothing but their values too.
    """

    reason: str
    operators: tuple[str, ...] = ()
    nodes: tuple[str, ...] = ()
    upstream: bool = False
    downstream: bool = False

    def holds(self, node: ir.Node) -> bool:
        name = node.name or ""
        return node.op_type in self.operators or any(fnmatchcase(name, pattern) for pattern in self.nodes)


NORMS = Island(
    "sums of squares over a whole map end beyond half's 65504",
    ("InstanceNormalization", "GroupNormalization", "LayerNormalization"),
)
SOFTMAX = Island("sums over thousands of tokens lose the small probabilities in half", ("Softmax",))
LATENT_DECODER = Island("with the weights of some pipelines its activations pass 65504", nodes=("*",))

ARITHMETIC = frozenset(("Add", "Sub", "Mul", "Div", "Sqrt"))
ANY_TYPE = frozenset(("Cast", "Shape", "Size"))  # read what they are given, with nothing to compute in its type
FP32_INPUTS = {"Resize": 2}  # its scales, which ONNX allows in no other type


def convert(model: ir.Model, islands: Sequence[Island]) -> None:
    """Rewrite `model` in place: weights and values FP16 but for `islands`; inputs and outputs keep their types.

    Every value must have its type in the graph, as the exporter writes it.
    """
    graph = model.graph
    kept = island_nodes(graph, islands)
    casts: dict[tuple[ir.Value, ir.DataType], ir.Value] = {}
    for node in list(graph):
        precision = ir.DataType.FLOAT if node in kept else ir.DataType.FLOAT16
        if node.op_type not in ANY_TYPE:
            for index, value in enumerate(node.inputs):
                wanted = ir.DataType.FLOAT if FP32_INPUTS.get(node.op_type) == index else precision
                if value is not None and is_float(value) and value.dtype != wanted:
                    node.replace_input_with(index, cast(value, wanted, node, casts))
        if node not in kept:
            halve(node)
    restore_outputs(graph)
    for name in [name for name, value in graph.initializers.items() if not value.uses()]:
        del graph.initializers[name]


def island_nodes(graph: ir.Graph, islands: Iterable[Island]) -> set[ir.Node]:
    """The nodes of all islands."""
    kept: set[ir.Node] = set()
    for island in islands:
        found = {node for node in graph if island.holds(node)}
        waiting = list(found) if island.upstream else []
        while waiting:
            above = set(waiting.pop().predecessors()) - found
            found |= above
            waiting += above
        for node in graph if island.downstream else ():
            sources = [value.producer() for value in node.inputs if value is not None and not value.is_initializer()]
            if node.op_type in ARITHMETIC and sources and found.issuperset(sources):
                found.add(node)
        kept |= found
    return kept


def is_float(value: ir.Value) -> bool:
    return value.dtype in (ir.DataType.FLOAT, ir.DataType.FLOAT16)


def cast(
    value: ir.Value, to: ir.DataType, before: ir.Node, casts: dict[tuple[ir.Value, ir.DataType], ir.Value]
) -> ir.Value:
    """`value` as `to`, by a node in front of `before` or, for weights, by weights of that type; once for each value."""
    if (value, to) not in casts:
        name = f"{value.name}_{to.name.lower()}"
        if value.is_initializer() and to == ir.DataType.FLOAT16:
            assert value.const_value is not None and value.graph is not None
            converted = ir.Value(name=name, shape=value.shape, type=ir.TensorType(to))
            converted.const_value = half(value.const_value, name)
            value.graph.register_initializer(converted)
        else:
            node = ir.node("Cast", [value], {"to": to.value}, name=f"node_{name}")
            [converted] = node.outputs
            converted.name, converted.shape, converted.type = name, value.shape, ir.TensorType(to)
            before.prepend(node)
        casts[value, to] = converted
    return casts[value, to]


def half(tensor: ir.TensorProtocol, name: str | None) -> ir.TensorProtocol:
    """The tensor in FP16; what is finite stays finite, and what is not zero does not become zero."""
    values, limits = tensor.numpy(), np.finfo(np.float16)
    bounded = np.where(np.isfinite(values), np.clip(values, limits.min, limits.max), values)
    tiny = (values != 0) & (np.abs(values) < limits.smallest_subnormal)
    return ir.Tensor(
        np.where(tiny, np.copysign(limits.smallest_subnormal, values), bounded).astype(np.float16), name=name
    )


def halve(node: ir.Node) -> None:
    """Make the attributes and the outputs of a node FP16 where they are FP32."""
    for attribute in list(node.attributes.values()):
        if attribute.type == ir.AttributeType.TENSOR and attribute.as_tensor().dtype == ir.DataType.FLOAT:
            tensor = attribute.as_tensor()
            node.attributes[attribute.name] = ir.AttrTensor(attribute.name, half(tensor, tensor.name))
    if node.op_type == "Cast" and node.attributes["to"].as_int() == ir.DataType.FLOAT:
        node.attributes["to"] = ir.AttrInt64("to", ir.DataType.FLOAT16.value)
    for output in node.outputs:
        if output.dtype == ir.DataType.FLOAT:
            output.type = ir.TensorType(ir.DataType.FLOAT16)


def restore_outputs(graph: ir.Graph) -> None:
    """Give outputs that have become FP16 back as FP32, under their names."""
    for index, value in enumerate(graph.outputs):
        if value.dtype == ir.DataType.FLOAT16:
            name, value.name = value.name, f"{value.name}_float16"
            node = ir.node("Cast", [value], {"to": ir.DataType.FLOAT.value}, name=f"node_{name}_output")
            [output] = node.outputs
            output.name, output.shape, output.type = name, value.shape, ir.TensorType(ir.DataType.FLOAT)
            graph.append(node)
            graph.outputs[index] = output
