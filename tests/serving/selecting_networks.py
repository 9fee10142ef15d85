"""Small networks that keep the contracts of those that select, and find what has the colour of the first point."""

import numpy as np
import onnx
from onnx import TensorProto

from concord.prompts import MASK_STRIDE, POINTS, SQUARE
from tests.serving.tiny_networks import Graph

STRIDE = 16
CHANNELS = 256
SIDE = SQUARE // STRIDE


def mobile_sam_encoder() -> onnx.ModelProto:
    """The mean colour of every 16 x 16 pixels in the first three channels, and the picture's height in the fourth."""
    graph = Graph(0)
    small = graph.node(
        "AveragePool", graph.pixels("SQUARE", 1 / 255, 0), kernel_shape=[STRIDE, STRIDE], strides=[STRIDE, STRIDE]
    )
    weight = np.zeros((CHANNELS, 3, 1, 1), np.float32)
    weight[:3, :, 0, 0] = np.eye(3)
    wide = graph.node("Conv", small, graph.constant(weight))
    height = graph.node("Cast", "SQUARE_SIZE", to=TensorProto.FLOAT)
    nothing = graph.scaled(graph.node("ReduceSum", height, graph.constant(np.array([1], np.int64)), keepdims=1), 0.0)
    axes = graph.constant(np.array([2, 3], np.int64))
    graph.node("Add", wide, graph.node("Unsqueeze", nothing, axes), output="EMBEDDING")
    inputs = {"SQUARE": (np.uint8, [SQUARE, SQUARE, 3]), "SQUARE_SIZE": (np.int32, [2])}
    return graph.model(inputs, "EMBEDDING", [CHANNELS, SIDE, SIDE])


def mobile_sam_decoder() -> onnx.ModelProto:
    """What differs from the colour at the first point by less than 0.4, 0.2, 0.4 and 0.6."""
    graph = Graph(0)
    first = graph.node("Gather", "PROMPTS", graph.constant(np.array(0, np.int64)), axis=1)
    place = graph.node("Cast", graph.node("Floor", graph.scaled(first, 1 / STRIDE)), to=TensorProto.INT64)
    place = graph.node("Gather", place, graph.constant(np.array([1, 0], np.int64)), axis=1)
    by_place = graph.node("Transpose", "EMBEDDING", perm=[0, 2, 3, 1])
    colour = graph.node("GatherND", by_place, place, batch_dims=1)
    colour = graph.node("Unsqueeze", colour, graph.constant(np.array([2, 3], np.int64)))
    difference = graph.node("Abs", graph.node("Sub", "EMBEDDING", colour))
    difference = graph.node("ReduceSum", difference, graph.constant(np.array([1], np.int64)), keepdims=1)
    limits = graph.constant(np.array([0.4, 0.2, 0.4, 0.6], np.float32)[None, :, None, None])
    scales = graph.constant(np.array([1, 1, STRIDE // MASK_STRIDE, STRIDE // MASK_STRIDE], np.float32))
    graph.node("Resize", graph.node("Sub", limits, difference), "", scales, output="MASK_LOGITS", mode="nearest")
    labels = graph.node("Cast", "LABELS", to=TensorProto.FLOAT)
    nothing = graph.scaled(graph.node("ReduceSum", labels, graph.constant(np.array([1], np.int64)), keepdims=1), 0.0)
    graph.node("Add", nothing, graph.constant(np.array([[0.95, 0.6, 0.9, 1.2]], np.float32)), output="SCORES")
    inputs = {
        "EMBEDDING": (np.float32, [CHANNELS, SIDE, SIDE]),
        "PROMPTS": (np.float32, [POINTS, 2]),
        "LABELS": (np.int32, [POINTS]),
    }
    side = SQUARE // MASK_STRIDE
    return graph.model(inputs, "MASK_LOGITS", [4, side, side], SCORES=[4])


def isnet() -> onnx.ModelProto:
    """What is red."""
    graph = Graph(0)
    weight = np.array([0.5, -0.5, -0.1], np.float32).reshape(1, 3, 1, 1)
    red = graph.scaled(graph.node("Conv", graph.pixels("SQUARE", 1 / 255, 0), graph.constant(weight)), 20.0)
    graph.node("Squeeze", graph.node("Sigmoid", red), graph.constant(np.array([1], np.int64)), output="SUBJECT")
    return graph.model({"SQUARE": (np.uint8, [SQUARE, SQUARE, 3])}, "SUBJECT", [SQUARE, SQUARE])
