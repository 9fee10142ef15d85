"""Small networks that keep the contracts of AttnGAN's: a colour that the words, the sentence and the noise decide."""

from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto

from concord.loops.attngan import NOISE
from concord.server.installation import MODEL_REPOSITORIES
from concord.word_vocabulary import FILE, LONGEST, dump
from tests.serving.tiny_networks import Graph

WORDS = ["<end>", "a", "red", "blue", "bird", "on", "branch"]
PIPELINE, LOOKUP = "attngan", "attngan_words"
_FEATURES, _SIDES = 256, (64, 128, 256)


def attngan_text_encoder() -> onnx.ModelProto:
    """A feature vector for each word, and their mean with the length."""
    graph = Graph(11)
    table = graph.constant(graph.random.normal(0, 1, (len(WORDS), _FEATURES)).astype("f"))
    found = graph.node("Gather", table, "TOKENS")
    graph.node("Transpose", found, perm=[0, 2, 1], output="WORDS")
    mean = graph.node("ReduceMean", found, graph.constant(np.array([1], np.int64)), keepdims=0)
    length = graph.scaled(graph.node("Cast", "LENGTH", to=TensorProto.FLOAT), 0.01)
    graph.node("Add", mean, length, output="SENTENCE")
    inputs = {"TOKENS": (np.int64, [LONGEST]), "LENGTH": (np.int64, [1])}
    return graph.model(inputs, "WORDS", [_FEATURES, LONGEST], SENTENCE=[_FEATURES])


def attngan_generator() -> onnx.ModelProto:
    """Stripes of three colours."""
    graph = Graph(12)
    last = graph.constant(np.array([-1], np.int64))
    words = graph.node("ReduceMean", "WORDS", last, keepdims=0)
    length = graph.node("Cast", "LENGTH", to=TensorProto.FLOAT)
    given = graph.node("Concat", words, "SENTENCE", "NOISE", "CONDITION_NOISE", length, axis=1)
    width = 2 * _FEATURES + 2 * NOISE + 1
    weight = graph.constant(graph.random.normal(0, 3 / np.sqrt(width), (width, 3)).astype("f"))
    colour = graph.node("Sigmoid", graph.node("MatMul", given, weight))
    colour = graph.node("Unsqueeze", colour, graph.constant(np.array([2, 3], np.int64)))
    for side in _SIDES:
        stripes = np.broadcast_to(0.5 + 0.5 * (np.arange(side) // 8 % 2), (1, 1, side, side)).astype("f")
        graph.node("Mul", colour, graph.constant(stripes), output=f"PICTURE_{side}")
    vector = (np.float32, [NOISE])
    inputs = {
        "WORDS": (np.float32, [_FEATURES, LONGEST]),
        "SENTENCE": (np.float32, [_FEATURES]),
        "LENGTH": (np.int64, [1]),
        "NOISE": vector,
        "CONDITION_NOISE": vector,
    }
    first, *others = _SIDES
    also = {f"PICTURE_{side}": [3, side, side] for side in others}
    return graph.model(inputs, f"PICTURE_{first}", [3, first, first], **also)


def link_generating(repository: Path) -> None:
    """Adds the pipeline `attngan` to a model repository, on these networks."""
    networks = MODEL_REPOSITORIES[0]
    for build in (attngan_text_encoder, attngan_generator):
        (repository / build.__name__ / "1").mkdir(parents=True)
        (repository / build.__name__ / "config.pbtxt").symlink_to(networks / build.__name__ / "config.pbtxt")
        onnx.save(build(), repository / build.__name__ / "1" / "model.onnx")
    link_words(repository)
    (repository / LOOKUP / "1" / FILE).write_bytes(dump(WORDS, 20))


def link_words(repository: Path) -> None:
    """Adds the pipeline, and the model that looks words up, without its vocabulary."""
    networks, pipelines = MODEL_REPOSITORIES
    (repository / LOOKUP / "1").mkdir(parents=True, exist_ok=True)
    (repository / LOOKUP / "config.pbtxt").symlink_to(networks / LOOKUP / "config.pbtxt")
    # A copy: it reads the vocabulary that lies beside it.
    (repository / LOOKUP / "1" / "model.py").write_bytes((networks / LOOKUP / "1" / "model.py").read_bytes())
    (repository / PIPELINE).symlink_to(pipelines / PIPELINE)
