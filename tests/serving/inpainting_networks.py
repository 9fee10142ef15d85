"""Small networks that keep the contracts of those that fill holes."""

import numpy as np
import onnx

from concord.loops.diffir import PRIOR
from concord.loops.ldm_inpainting import CHANNELS, STRIDE
from tests.serving.tiny_networks import Graph

WIDTH = 32  # channels


def diffir() -> onnx.ModelProto:
    """The picture, and in the hole the mean of what is known and a little of the noise's mean; all a little dark."""
    graph = Graph(0)
    every = graph.constant(np.array([2, 3], np.int64))
    picture = graph.pixels("PICTURE", 1 / 255, 0)
    hole = graph.node("Unsqueeze", graph.node("Cast", "HOLE", to=1), graph.constant(np.array([1], np.int64)))
    known = graph.scaled(hole, -1, 1)
    seen = graph.node("Mul", picture, known)
    mean = graph.node("Div", graph.node("ReduceMean", seen, every), graph.node("ReduceMean", known, every))
    noise = graph.node("ReduceMean", "PRIOR_NOISE", graph.constant(np.array([1], np.int64)))
    light = graph.node("Unsqueeze", graph.scaled(noise, 0.5), every)
    whole = graph.node("Add", seen, graph.node("Mul", hole, graph.node("Add", mean, light)))
    graph.scaled(whole, 0.9, output="DRAWN")
    inputs = {
        "PICTURE": (np.uint8, ["h", "w", 3]),
        "HOLE": (np.uint8, ["h", "w"]),
        "PRIOR_NOISE": (np.float32, [PRIOR]),
    }
    return graph.model(inputs, "DRAWN", [3, "h", "w"])


def ldm_inpainting_encoder() -> onnx.ModelProto:
    """The mean of every 4 x 4 known pixels, and whether the first lies in the hole."""
    graph = Graph(1)
    picture = graph.pixels("PICTURE", 1 / 127.5, -1)
    hole = graph.node("Unsqueeze", graph.node("Cast", "HOLE", to=1), graph.constant(np.array([1], np.int64)))
    seen = graph.node("Mul", picture, graph.scaled(hole, -1, 1))
    small = graph.node("AveragePool", seen, kernel_shape=[STRIDE, STRIDE], strides=[STRIDE, STRIDE])
    cells = graph.node("MaxPool", hole, kernel_shape=[1, 1], strides=[STRIDE, STRIDE])
    graph.node("Concat", small, graph.scaled(cells, 2, -1), axis=1, output="CONDITION")
    inputs = {"PICTURE": (np.uint8, ["h", "w", 3]), "HOLE": (np.uint8, ["h", "w"])}
    return graph.model(inputs, "CONDITION", [CHANNELS + 1, "y", "x"])


def ldm_inpainting_unet(layers: int = 1) -> onnx.ModelProto:
    """Nearly finds the noise around what is given; more layers take longer."""
    graph = Graph(2)
    value = graph.conv(graph.node("Concat", "LATENT", "CONDITION", axis=1), 2 * CHANNELS + 1, WIDTH, 3)
    timestep = graph.node("Unsqueeze", "TIMESTEP", graph.constant(np.array([2, 3], np.int64)))
    value = graph.node("Tanh", graph.node("Add", value, graph.scaled(timestep, 1e-3)))
    for _ in range(layers):
        value = graph.node("Tanh", graph.conv(value, WIDTH, WIDTH, 3))
    graph.node("Add", graph.scaled(graph.conv(value, WIDTH, CHANNELS), 0.3), "LATENT", output="NOISE")
    inputs = {
        "LATENT": (np.float32, [CHANNELS, "y", "x"]),
        "TIMESTEP": (np.float32, [1]),
        "CONDITION": (np.float32, [CHANNELS + 1, "y", "x"]),
    }
    return graph.model(inputs, "NOISE", [CHANNELS, "y", "x"])


def ldm_inpainting_decoder() -> onnx.ModelProto:
    """Enlarges."""
    graph = Graph(3)
    scales = graph.constant(np.array([1, 1, STRIDE, STRIDE], np.float32))
    graph.node("Resize", graph.scaled("LATENT", 0.2, 0.5), "", scales, output="DRAWN", mode="nearest")
    return graph.model({"LATENT": (np.float32, [CHANNELS, "y", "x"])}, "DRAWN", [3, "h", "w"])
