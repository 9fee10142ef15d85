"""Small networks that keep the contracts of those that enlarge pictures."""

import numpy as np
import onnx

from concord.loops.ldm_sr import CHANNELS, FACTOR
from tests.serving.tiny_networks import Graph

WIDTH = 16  # channels
PLANES = (np.float32, [CHANNELS, "y", "x"])


def ldm_sr_unet(layers: int = 1) -> onnx.ModelProto:
    """Nearly finds the noise around the picture; more layers take longer."""
    graph = Graph(4)
    value = graph.conv(graph.node("Concat", "LATENT", "LOW_RES", axis=1), 2 * CHANNELS, WIDTH, 3)
    timestep = graph.node("Unsqueeze", "TIMESTEP", graph.constant(np.array([2, 3], np.int64)))
    value = graph.node("Tanh", graph.node("Add", value, graph.scaled(timestep, 1e-3)))
    for _ in range(layers):
        value = graph.node("Tanh", graph.conv(value, WIDTH, WIDTH, 3))
    found = graph.scaled(graph.conv(value, WIDTH, CHANNELS), 0.1)
    graph.node("Add", found, graph.node("Sub", "LATENT", "LOW_RES"), output="NOISE")
    inputs = {"LATENT": PLANES, "TIMESTEP": (np.float32, [1]), "LOW_RES": PLANES}
    return graph.model(inputs, "NOISE", [CHANNELS, "y", "x"])


def ldm_sr_decoder() -> onnx.ModelProto:
    """Enlarges."""
    graph = Graph(5)
    scales = graph.constant(np.array([1, 1, FACTOR, FACTOR], np.float32))
    graph.node("Resize", graph.scaled("LATENT", 0.5, 0.5), "", scales, output="DRAWN", mode="nearest")
    return graph.model({"LATENT": PLANES}, "DRAWN", [3, "h", "w"])
