"""The work of an exported network: floating point operations, two for each multiply-add, of products and convolutions.

A transformed convolution counts as the direct one that it stands for, so engines are compared by the same number.
"""

import gc
import math
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import openvino as ov

from benchmarks import OUTPUT
from benchmarks.floors.networks import Feeds
from export import direct_form
from export.publication import MODEL

Shape = tuple[int, ...]
NOT_COUNTED = re.compile("Convolution|Einsum|GRU|LSTM|RNN|Loop|TensorIterator|^If$|Attention")
"""Of operations that are not among `PRODUCTS`: those that may hold products."""


def gigaflop(path: Path, feeds: Feeds) -> float:
    """Of one run of an exported network on these inputs, of which it takes its own.

    Raises:
        ValueError: a product has no size before it runs, or is of a kind that is not counted.
    """
    OUTPUT.mkdir(parents=True, exist_ok=True)
    with TemporaryDirectory(dir=OUTPUT) as place:  # gigabytes, for which /tmp may be too small
        direct_form.write(path, Path(place) / MODEL)
        gc.collect()  # the graph is cyclic and holds weights, gigabytes that the next step needs
        return gigaflop_as_written(Path(place) / MODEL, feeds)


def gigaflop_as_written(path: Path, feeds: Feeds) -> float:
    """The same of a file that has direct convolutions already."""
    graph = ov.Core().read_model(path)
    graph.reshape({tensor.any_name: list(feeds[tensor.any_name].shape) for tensor in graph.inputs})
    return 2 * sum(map(multiply_adds, graph.get_ordered_ops())) / 1e9


def multiply_adds(node: Any) -> int:
    """Of an operation; 0 of one that is no product."""
    kind = node.get_type_name()
    if kind not in PRODUCTS:
        if NOT_COUNTED.search(kind):
            raise ValueError(f"{node.get_friendly_name()}: the work of {kind} is not counted")
        return 0
    tensors = [*node.inputs(), node.output(0)]
    if any(tensor.get_partial_shape().is_dynamic for tensor in tensors):
        raise ValueError(f"{node.get_friendly_name()}: the size of a {kind} depends on what the network computes")
    *inputs, answer = (tuple(tensor.get_shape()) for tensor in tensors)
    return PRODUCTS[kind](node, inputs, answer)


def convolution(_: Any, inputs: list[Shape], answer: Shape) -> int:
    """Weights [O, C, ...]: every element of the answer is a sum over the rest of them."""
    return math.prod(answer) * math.prod(inputs[1][1:])


def grouped_convolution(_: Any, inputs: list[Shape], answer: Shape) -> int:
    """Weights [G, O, C, ...]."""
    return math.prod(answer) * math.prod(inputs[1][2:])


def transposed_convolution(_: Any, inputs: list[Shape], answer: Shape) -> int:
    """Weights [C, O, ...]: every element of the input goes into as many sums."""
    return math.prod(inputs[0]) * math.prod(inputs[1][1:])


def product(node: Any, inputs: list[Shape], answer: Shape) -> int:
    """Every element of the answer is a sum over the side that both have."""
    transposed = node.get_attributes()["transpose_a"]
    return math.prod(answer) * inputs[0][-2 if transposed else -1]


def attention(_: Any, inputs: list[Shape], answer: Shape) -> int:
    """Queries [..., L, E], keys [..., S, E], values [..., S, V]: two products, neither left out by a mask."""
    query, key, *_values = inputs
    return (math.prod(query) + math.prod(answer)) * key[-2]


PRODUCTS: Mapping[str, Callable[[Any, list[Shape], Shape], int]] = {
    "Convolution": convolution,
    "GroupConvolution": grouped_convolution,
    "ConvolutionBackpropData": transposed_convolution,
    "MatMul": product,
    "ScaledDotProductAttention": attention,
}
