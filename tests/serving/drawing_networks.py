"""Small networks that keep the contracts of text-to-image diffusion models: a colour that text and noise decide."""

import shutil
from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto

from concord import word_pieces
from concord.server.installation import MODEL_REPOSITORIES
from tests.serving.tiny_networks import PLANES, Graph, latent_preview, vae_decoder

TOKENS = 77
LOOKUP, LOOKUPS = "ldm_text2img_tokenizer", "clip_tokenizer"
WIDTHS = {"ldm": ("ldm_text2img", 1280), "stable_diffusion": ("stable_diffusion", 1024)}
"""By pipeline, the beginning of its networks' names, and the width of its states."""
PIECES = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "a", "red", "blue", "bird", "on", "branch", "##es")
_WIDTH = 32


def text_encoder(width: int) -> onnx.ModelProto:
    """States that differ with the tokens and their places."""
    graph = Graph(13)
    tokens = graph.node("Cast", "TOKENS", to=TensorProto.FLOAT)
    column = graph.node("Unsqueeze", graph.node("Sin", tokens), graph.constant(np.array([2], np.int64)))
    weights = graph.random.normal(0, 1, (1, TOKENS, width)).astype("f")
    graph.node("Mul", column, graph.constant(weights), output="STATES")
    return graph.model({"TOKENS": (np.int64, [TOKENS])}, "STATES", [TOKENS, width])


def text_unet(width: int, layers: int = 1) -> onnx.ModelProto:
    """Nearly finds the noise around a colour that the text decides; more layers take longer."""
    graph = Graph(14)
    text = graph.node("ReduceMean", "STATES", graph.constant(np.array([1], np.int64)), keepdims=0)
    weights = graph.constant(graph.random.normal(0, 1, (width, 4)).astype("f"))
    colour = graph.node("Tanh", graph.node("MatMul", text, weights))
    colour = graph.node("Unsqueeze", colour, graph.constant(np.array([2, 3], np.int64)))
    value = graph.conv("LATENT", 4, _WIDTH, 3)
    time = graph.node("Unsqueeze", "TIMESTEP", graph.constant(np.array([2, 3], np.int64)))
    value = graph.node("Tanh", graph.node("Add", value, graph.scaled(time, 1e-3)))
    for _ in range(layers):
        value = graph.node("Tanh", graph.conv(value, _WIDTH, _WIDTH, 3))
    found = graph.node("Add", graph.scaled(graph.conv(value, _WIDTH, 4), 0.1), "LATENT")
    graph.node("Sub", found, graph.scaled(colour, 0.02), output="NOISE")
    inputs = {"LATENT": PLANES, "TIMESTEP": (np.float32, [1]), "STATES": (np.float32, [TOKENS, width])}
    return graph.model(inputs, "NOISE", [4, "h", "w"])


def write_drawing(repository: Path, *pipelines: str) -> None:
    """Adds text-to-image pipelines and their companions to a model repository, on these networks."""
    write_networks(repository, *pipelines)
    for pipeline in pipelines:
        for name in (pipeline, f"{pipeline}_once"):
            (repository / name).symlink_to(MODEL_REPOSITORIES[1] / name)


def write_networks(repository: Path, *pipelines: str) -> None:
    """Adds the networks of text-to-image pipelines to a model repository."""
    networks = MODEL_REPOSITORIES[0]
    for pipeline in pipelines:
        family, width = WIDTHS[pipeline]
        built = {
            "text_encoder": text_encoder(width),
            "unet": text_unet(width, layers=4),
            "decoder": vae_decoder(),
            "preview": latent_preview(),
        }
        for role, network in built.items():
            (repository / f"{family}_{role}" / "1").mkdir(parents=True)
            config = networks / f"{family}_{role}" / "config.pbtxt"
            (repository / f"{family}_{role}" / "config.pbtxt").symlink_to(config)
            onnx.save(network, repository / f"{family}_{role}" / "1" / "model.onnx")
    (repository / LOOKUPS).symlink_to(networks / LOOKUPS)
    # A copy: it reads the vocabulary that lies beside it.
    shutil.copytree(networks / LOOKUP, repository / LOOKUP)
    (repository / LOOKUP / "1" / word_pieces.FILE).write_bytes(word_pieces.dump(PIECES))
