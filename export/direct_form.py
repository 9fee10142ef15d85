"""Exported graphs with direct convolutions again, for engines that have fast ones: what `winograd` did, undone.

The weights of a transformed convolution are a linear map of its nine taps, with more rows than columns: its
pseudo-inverse gives the taps back, but for rounding.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnx_ir as ir
from numpy.typing import NDArray
from onnx_ir.passes.common import RemoveUnusedNodesPass

from export import stored_weights
from export.winograd import FOUR, PHASE_TAPS, UPSAMPLED

FORMS = {len(form.inputs) ** 2: form for form in (FOUR, UPSAMPLED)}
PHASES = PHASE_TAPS.reshape(-1, 3)
DOUBLING = {"mode": "nearest", "nearest_mode": "floor", "coordinate_transformation_mode": "asymmetric"}


@dataclass(frozen=True)
class Convolution:
    """A 3x3 convolution that was found in another form: of `x`, or of `x` upsampled by two; `weight` [O, C, 3, 3]."""

    x: ir.Value
    weight: NDArray[Any]
    upsampled: bool


def convert(model: ir.Model) -> None:
    """Rewrite every transformed convolution of `model` in place."""
    for node in list(model.graph):
        if node.op_type == "ConvTranspose":
            found = filtered(node) or phases(node)
            if found is not None:
                write_convolution(node, found)
    RemoveUnusedNodesPass()(model)


def write(source: Path, target: Path) -> ir.Model:
    """Write the model of an exported file to another one, converted, with the weights beside it."""
    model = stored_weights.load(source)
    convert(model)
    ir.save(model, target, external_data=f"{target.stem}.weights")
    return model


def filtered(last: ir.Node) -> Convolution | None:
    """The convolution, if `last` is the end of a `winograd.Winograd`."""
    product = above(last, 0, "Reshape", "Transpose", "MatMul")
    first = product and above(product, 1, "Transpose", "Reshape", "Conv")
    products = array(product.inputs[0]) if product else None
    if first is None or first.inputs[0] is None or products is None:
        return None
    form = FORMS[len(products)]
    return Convolution(first.inputs[0], taps(form.kernel, products), form is UPSAMPLED)


def phases(last: ir.Node) -> Convolution | None:
    """The convolution, if `last` is the end of a `winograd.Phases`."""
    stacked = above(last, 0, "Reshape", "Concat")
    if stacked is None or len(stacked.inputs) != 4:
        return None
    convolutions = [above(stacked, index, "Unsqueeze", "Conv") for index in range(4)]
    weights = [weight for each in convolutions if each and (weight := array(each.inputs[1])) is not None]
    # The exporter makes the padding a part of each convolution.
    x = convolutions[0].inputs[0] if convolutions[0] else None
    if x is None or len(weights) < len(convolutions):
        return None
    products = np.stack(weights).reshape(2, 2, *weights[0].shape).transpose(0, 4, 1, 5, 2, 3)
    return Convolution(x, taps(PHASES, products.reshape(16, *products.shape[4:])), upsampled=True)


def taps(rows: NDArray[Any], products: NDArray[Any]) -> NDArray[Any]:
    """Weights [O, C, 3, 3] from `products` [P, O, C], what `rows` made of them in each of the two dimensions."""
    inverse = np.linalg.pinv(np.kron(rows, rows))
    weight = inverse @ products.reshape(len(products), -1)
    return np.ascontiguousarray(weight.reshape(3, 3, *products.shape[1:]).transpose(2, 3, 0, 1), np.float32)


def write_convolution(last: ir.Node, found: Convolution) -> None:
    """Put the convolution in the place of the nodes that end with `last`."""
    graph, tape, x = last.graph, ir.tape.Tape(), found.x
    assert isinstance(graph, ir.Graph)
    if found.upsampled:
        scales = tape.initializer(ir.tensor(np.array([1, 1, 2, 2], np.float32), name=f"{last.name}_scales"))
        x = tape.op("Resize", [x, None, scales], DOUBLING)
        x.type = found.x.type
    weight = tape.initializer(ir.tensor(found.weight, name=f"{last.name}_weight"))
    answer = tape.op("Conv", [x, weight, *last.inputs[2:]], {"kernel_shape": [3, 3], "pads": [1, 1, 1, 1]})
    for value in tape.initializers:
        graph.register_initializer(value)
    ir.convenience.replace_nodes_and_values(graph, last, [last], tape.nodes, last.outputs, [answer])


def above(node: ir.Node, index: int, *operators: str) -> ir.Node | None:
    """The node at the end of a chain of `operators`, upwards from an input of `node` and then from first inputs."""
    for operator in operators:
        value = node.inputs[index]
        producer = value.producer() if value is not None else None
        if producer is None or producer.op_type != operator:
            return None
        node, index = producer, 0
    return node


def array(value: ir.Value | None) -> NDArray[Any] | None:
    """The weights that a value holds; None where it is computed."""
    tensor = None if value is None else ir.convenience.get_const_tensor(value)
    return None if tensor is None else tensor.numpy()
