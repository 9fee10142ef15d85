"""Small networks that keep the contracts of CLIP's towers, with the pipelines that edit on text-to-image networks."""

from pathlib import Path

import numpy as np
import onnx

from concord.server.installation import MODEL_REPOSITORIES
from tests.serving.drawing_networks import TOKENS, WIDTHS, write_networks
from tests.serving.tiny_networks import Graph, vae_encoder

BASES = {"blended_latent": "ldm", "blended_stable_diffusion": "stable_diffusion"}
"""By pipeline, the one whose networks it runs on."""
EMBEDDING = 512


def clip_text_encoder() -> onnx.ModelProto:
    """The same for every text that has a token."""
    graph = Graph(23)
    tokens = graph.node("Cast", "TOKENS", to=onnx.TensorProto.FLOAT)
    sign = graph.node("Sign", graph.node("ReduceMean", tokens, graph.constant(np.array([1], np.int64))))
    graph.node("Mul", sign, graph.constant(np.full((1, EMBEDDING), EMBEDDING**-0.5, np.float32)), output="EMBEDDING")
    return graph.model({"TOKENS": (np.int64, [TOKENS])}, "EMBEDDING", [EMBEDDING])


def clip_image_encoder() -> onnx.ModelProto:
    """A picture shows a text the better the brighter it is."""
    graph = Graph(24)
    planes = graph.node("ReduceMean", "VIEW", graph.constant(np.array([2, 3], np.int64)), keepdims=0)
    mean = graph.node("ReduceMean", planes, graph.constant(np.array([1], np.int64)))
    graph.node("Mul", mean, graph.constant(np.full((1, EMBEDDING), EMBEDDING**-0.5, np.float32)), output="EMBEDDING")
    return graph.model({"VIEW": (np.float32, [3, 224, 224])}, "EMBEDDING", [EMBEDDING])


def write_editing(repository: Path, *pipelines: str) -> None:
    """Adds the pipelines and their companions to a model repository, on these networks."""
    networks, declared = MODEL_REPOSITORIES
    bases = [BASES[pipeline] for pipeline in pipelines]
    write_networks(repository, *bases)
    encoders = {f"{WIDTHS[base][0]}_encoder": vae_encoder() for base in bases}
    towers = {"clip_text_encoder": clip_text_encoder(), "clip_image_encoder": clip_image_encoder()}
    for name, network in (encoders | towers).items():
        (repository / name / "1").mkdir(parents=True)
        (repository / name / "config.pbtxt").symlink_to(networks / name / "config.pbtxt")
        onnx.save(network, repository / name / "1" / "model.onnx")
    for name in pipelines:
        for pipeline in (name, f"{name}_once"):
            (repository / pipeline).symlink_to(declared / pipeline)
