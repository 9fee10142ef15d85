"""Small networks that keep the contracts of those that edit, and of CLIP's, with their pipelines."""

from pathlib import Path

import numpy as np
import onnx

from concord.loops.blended_diffusion import SIDE
from concord.server.installation import MODEL_REPOSITORIES
from concord.view_warps import WARPED
from tests.serving import tiny_networks
from tests.serving.tiny_networks import PLANES, Graph

PIPELINES = tuple(f"{name}{end}" for name in ("blended_stable_diffusion", "blended_diffusion") for end in ("", "_once"))
TOKENS, STATES = (np.int64, [77]), (np.float32, [77, 1024])
EMBEDDING = 512
_WIDTH = 32  # channels


def text_encoder() -> onnx.ModelProto:
    """States that grow with the tokens."""
    graph = Graph(21)
    tokens = graph.node("Cast", "TOKENS", to=onnx.TensorProto.FLOAT)
    column = graph.node("Unsqueeze", tokens, graph.constant(np.array([2], np.int64)))
    graph.node("Mul", column, graph.constant(graph.random.random((1, 1, 1024)).astype("f") / 49408), output="STATES")
    return graph.model({"TOKENS": TOKENS}, "STATES", STATES[1])


def unet(layers: int = 1) -> onnx.ModelProto:
    """Nearly finds the noise, and brightens by the text; more layers take longer."""
    graph = Graph(22)
    axes = graph.constant(np.array([2, 3], np.int64))
    time = graph.scaled(graph.node("Unsqueeze", "TIMESTEP", axes), 1e-3)
    value = graph.node("Tanh", graph.node("Add", graph.conv("LATENT", 4, _WIDTH, 3), time))
    for _ in range(layers):
        value = graph.node("Tanh", graph.conv(value, _WIDTH, _WIDTH, 3))
    told = graph.node("ReduceMean", "STATES", graph.constant(np.array([1, 2], np.int64)), keepdims=0)
    told = graph.node("Reshape", told, graph.constant(np.array([-1, 1, 1, 1], np.int64)))
    found = graph.node("Sub", graph.scaled(graph.conv(value, _WIDTH, 4), 0.3), told)
    graph.node("Add", found, "LATENT", output="NOISE")
    return graph.model({"LATENT": PLANES, "TIMESTEP": (np.float32, [1]), "STATES": STATES}, "NOISE", [4, "h", "w"])


def clip_text_encoder() -> onnx.ModelProto:
    """Of one direction for every text, and longer for larger tokens."""
    graph = Graph(23)
    tokens = graph.node("Cast", "TOKENS", to=onnx.TensorProto.FLOAT)
    mean = graph.node("ReduceMean", tokens, graph.constant(np.array([1], np.int64)))
    length = graph.scaled(mean, 1e-4)
    graph.node("Mul", length, graph.constant(np.full((1, EMBEDDING), EMBEDDING**-0.5, np.float32)), output="EMBEDDING")
    return graph.model({"TOKENS": TOKENS}, "EMBEDDING", [EMBEDDING])


def clip_image_encoder() -> onnx.ModelProto:
    """A picture shows a text the better the brighter it is."""
    graph = Graph(24)
    mean = graph.node("ReduceMean", "VIEW", graph.constant(np.array([1, 2, 3], np.int64)), keepdims=0)
    column = graph.node("Unsqueeze", mean, graph.constant(np.array([1], np.int64)))
    graph.node("Mul", column, graph.constant(np.full((1, EMBEDDING), EMBEDDING**-0.5, np.float32)), output="EMBEDDING")
    return graph.model({"VIEW": (np.float32, [3, 224, 224])}, "EMBEDDING", [EMBEDDING])


def blended_guidance(layers: int = 1) -> onnx.ModelProto:
    """Shows a little of everything that it is given; more layers take longer."""
    graph = Graph(25)

    def column(name: str, *axes: int) -> str:
        """The mean over the axes, [b, 1, 1, 1]."""
        mean = graph.node("ReduceMean", name, graph.constant(np.array(axes, np.int64)), keepdims=0)
        return graph.node("Reshape", mean, graph.constant(np.array([-1, 1, 1, 1], np.int64)))

    time = graph.node("Add", graph.scaled(column("TIMESTEP", 1), 1e-3), column("KEPT", 1))
    value = graph.node("Tanh", graph.node("Add", graph.conv("NOISY", 3, _WIDTH, 3), time))
    for _ in range(layers):
        value = graph.node("Tanh", graph.conv(value, _WIDTH, _WIDTH, 3))
    text = graph.node("Sin", graph.scaled(column("TEXT_EMBEDDING", 1), 1e4))  # of which any other one shows
    clean = graph.node("Tanh", graph.node("Add", graph.conv(value, _WIDTH, 3), text), output="CLEAN")
    graph.node("Tanh", graph.conv(value, _WIDTH, 3), output="VARIANCE")
    part = graph.node("Unsqueeze", "PART", graph.constant(np.array([1], np.int64)))
    led = graph.node("Mul", graph.node("Cast", part, to=onnx.TensorProto.FLOAT), column("WARPS", 1, 2, 3, 4))
    weight = graph.scaled(column("WEIGHTS", 1), 1e-4)
    graph.node("Mul", graph.node("Mul", led, weight), clean, output="GRADIENT")
    planes = (np.float32, [3, SIDE, SIDE])
    inputs = {
        "NOISY": planes,
        "TIMESTEP": (np.float32, [1]),
        "KEPT": (np.float32, [1]),
        "PART": (np.uint8, [SIDE, SIDE]),
        "TEXT_EMBEDDING": (np.float32, [EMBEDDING]),
        "WARPS": (np.float32, [WARPED, 2, 3, 3]),
        "WEIGHTS": (np.float32, [2]),
    }
    return graph.model(inputs, "CLEAN", planes[1], VARIANCE=planes[1], GRADIENT=planes[1])


NETWORKS = {
    "blended_guidance": blended_guidance,
    "stable_diffusion_text_encoder": text_encoder,
    "stable_diffusion_encoder": tiny_networks.vae_encoder,
    "stable_diffusion_unet": unet,
    "stable_diffusion_decoder": tiny_networks.vae_decoder,
    "stable_diffusion_preview": tiny_networks.latent_preview,
    "clip_text_encoder": clip_text_encoder,
    "clip_image_encoder": clip_image_encoder,
}


def link_editing(repository: Path) -> None:
    """Adds the pipelines to a model repository, on these networks."""
    networks, pipelines = MODEL_REPOSITORIES
    for name, network in NETWORKS.items():
        (repository / name / "1").mkdir(parents=True)
        (repository / name / "config.pbtxt").symlink_to(networks / name / "config.pbtxt")
        onnx.save(network(), repository / name / "1" / "model.onnx")
    for name in PIPELINES:
        (repository / name).symlink_to(pipelines / name)
    (repository / "clip_tokenizer").symlink_to(networks / "clip_tokenizer")
