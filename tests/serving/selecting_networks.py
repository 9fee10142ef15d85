"""Small networks that keep the contracts of those that select, and find what has the colour of the first point."""

import numpy as np
import onnx
from onnx import TensorProto

from concord.prompts import MASK_STRIDE, POINTS, SQUARE
from tests.serving.tiny_networks import Graph

STRIDE = 16
CHANNELS = 256
SIDE = SQUARE // STRIDE


def mean_colour(graph: Graph, stride: int, channels: int, output: str | None = None) -> str:
    """Of every stride x stride pixels of SQUARE, in the first three channels."""
    side = [stride, stride]
    small = graph.node("AveragePool", graph.pixels("SQUARE", 1 / 255, 0), kernel_shape=side, strides=side)
    weight = np.zeros((channels, 3, 1, 1), np.float32)
    weight[:3, :, 0, 0] = np.eye(3)
    return graph.node("Conv", small, graph.constant(weight), output=output)


def unlikeness(graph: Graph, colours: str, stride: int) -> str:
    """[b,1,h,w]: how far each colour is from that at the first point."""
    first = graph.node("Gather", "PROMPTS", graph.constant(np.array(0, np.int64)), axis=1)
    place = graph.node("Cast", graph.node("Floor", graph.scaled(first, 1 / stride)), to=TensorProto.INT64)
    place = graph.node("Gather", place, graph.constant(np.array([1, 0], np.int64)), axis=1)
    by_place = graph.node("Transpose", colours, perm=[0, 2, 3, 1])
    colour = graph.node("GatherND", by_place, place, batch_dims=1)
    colour = graph.node("Unsqueeze", colour, graph.constant(np.array([2, 3], np.int64)))
    difference = graph.node("Abs", graph.node("Sub", colours, colour))
    return graph.node("ReduceSum", difference, graph.constant(np.array([1], np.int64)), keepdims=1)


def decoder(graph: Graph, embedding: dict[str, tuple[int, int]], logits: str) -> onnx.ModelProto:
    """With scores that are always the same; `embedding` are channels and sides of its first inputs."""
    labels = graph.node("Cast", "LABELS", to=TensorProto.FLOAT)
    nothing = graph.scaled(graph.node("ReduceSum", labels, graph.constant(np.array([1], np.int64)), keepdims=1), 0.0)
    graph.node("Add", nothing, graph.constant(np.array([[0.95, 0.6, 0.9, 1.2]], np.float32)), output="SCORES")
    maps = {name: (np.float32, [channels, side, side]) for name, (channels, side) in embedding.items()}
    asked = {"PROMPTS": (np.float32, [POINTS, 2]), "LABELS": (np.int32, [POINTS])}
    side = SQUARE // MASK_STRIDE
    return graph.model(maps | asked, logits, [4, side, side], SCORES=[4])


def mobile_sam_encoder() -> onnx.ModelProto:
    """Mean colours, to which the picture's height adds nothing."""
    graph = Graph(0)
    wide = mean_colour(graph, STRIDE, CHANNELS)
    height = graph.node("Cast", "SQUARE_SIZE", to=TensorProto.FLOAT)
    nothing = graph.scaled(graph.node("ReduceSum", height, graph.constant(np.array([1], np.int64)), keepdims=1), 0.0)
    axes = graph.constant(np.array([2, 3], np.int64))
    graph.node("Add", wide, graph.node("Unsqueeze", nothing, axes), output="EMBEDDING")
    inputs = {"SQUARE": (np.uint8, [SQUARE, SQUARE, 3]), "SQUARE_SIZE": (np.int32, [2])}
    return graph.model(inputs, "EMBEDDING", [CHANNELS, SIDE, SIDE])


def mobile_sam_decoder() -> onnx.ModelProto:
    """What differs from the colour at the first point by less than 0.4, 0.2, 0.4 and 0.6."""
    graph = Graph(0)
    limits = graph.constant(np.array([0.4, 0.2, 0.4, 0.6], np.float32)[None, :, None, None])
    found = graph.node("Sub", limits, unlikeness(graph, "EMBEDDING", STRIDE))
    scales = graph.constant(np.array([1, 1, STRIDE // MASK_STRIDE, STRIDE // MASK_STRIDE], np.float32))
    graph.node("Resize", found, "", scales, output="MASK_LOGITS", mode="nearest")
    return decoder(graph, {"EMBEDDING": (CHANNELS, SIDE)}, "MASK_LOGITS")


FEATURES = {"FEATURES_8": (64, SQUARE // 8), "FEATURES_4": (32, SQUARE // 4)}


def sam2_encoder() -> onnx.ModelProto:
    """Mean colours of every 16, 8 and 4 pixels."""
    graph = Graph(0)
    mean_colour(graph, STRIDE, CHANNELS, "EMBEDDING")
    for name, (channels, side) in FEATURES.items():
        mean_colour(graph, SQUARE // side, channels, name)
    sides = {name: [channels, side, side] for name, (channels, side) in FEATURES.items()}
    return graph.model({"SQUARE": (np.uint8, [SQUARE, SQUARE, 3])}, "EMBEDDING", [CHANNELS, SIDE, SIDE], **sides)


def sam2_decoder() -> onnx.ModelProto:
    """As the other, of the finest map; what the coarser ones say is the same, and the first mask is not sure of it."""
    graph = Graph(0)
    limits = graph.constant(np.array([0.4, 0.2, 0.4, 0.6], np.float32)[None, :, None, None])
    coarse = graph.constant(np.array([1, 1, 2, 2], np.float32))
    enlarged = graph.node("Resize", unlikeness(graph, "EMBEDDING", STRIDE), "", coarse, mode="nearest")
    enlarged = graph.node("Max", enlarged, unlikeness(graph, "FEATURES_8", 8))
    enlarged = graph.node("Resize", enlarged, "", coarse, mode="nearest")
    fine = graph.node("Add", unlikeness(graph, "FEATURES_4", 4), graph.scaled(enlarged, 1e-3))
    certainty = graph.constant(np.array([0.01, 1, 1, 1], np.float32)[None, :, None, None])
    graph.node("Mul", graph.node("Sub", limits, fine), certainty, output="MASK_LOGITS")
    return decoder(graph, {"EMBEDDING": (CHANNELS, SIDE)} | FEATURES, "MASK_LOGITS")


def isnet() -> onnx.ModelProto:
    """What is red."""
    graph = Graph(0)
    weight = np.array([0.5, -0.5, -0.1], np.float32).reshape(1, 3, 1, 1)
    red = graph.scaled(graph.node("Conv", graph.pixels("SQUARE", 1 / 255, 0), graph.constant(weight)), 20.0)
    graph.node("Squeeze", graph.node("Sigmoid", red), graph.constant(np.array([1], np.int64)), output="SUBJECT")
    return graph.model({"SQUARE": (np.uint8, [SQUARE, SQUARE, 3])}, "SUBJECT", [SQUARE, SQUARE])
