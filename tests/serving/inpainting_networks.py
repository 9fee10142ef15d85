"""Small networks that keep the contracts of those that fill holes, and fill them with the mean colour around."""

import numpy as np
import onnx

from concord.loops.diffir import PRIOR
from tests.serving.tiny_networks import Graph


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
