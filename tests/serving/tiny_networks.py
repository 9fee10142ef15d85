"""Small random networks that keep the contracts of a diffusion model's networks, in a model repository of their own.

Each depends on all of its inputs, every channel in its own way, so that a mistake in the wiring shows.
"""

import re
import shutil
from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from concord.server.installation import MODEL_REPOSITORIES

LATENT_NETWORKS = (
    *("vae_encoder", "unet", "vae_decoder", "harmony_vae", "refinement", "latent_preview"),
    *("tiny_encoder", "tiny_decoder"),
)
OPEN = {f"gate.{role}": "passed" for role in ("tiny_encoder", "tiny_decoder", "linear_decoder")}
"""Parameters of a pipeline whose optional encoders and decoders have passed their gates."""
PAINTING_NETWORKS = tuple(f"phdiffusion_{part}" for part in ("encoder", "decoder", "preview", "adapter", "unet"))
PAINTING_WIDTHS = (320, 640, 1280, 1280)
SEGMENTING = ("decode", "cris_preprocess", "cris", "cris_postprocess", "edges")
_WIDTH = 64
_TYPES = {
    np.dtype(np.float32): TensorProto.FLOAT,
    np.dtype(np.uint8): TensorProto.UINT8,
    np.dtype(np.int32): TensorProto.INT32,
    np.dtype(np.int64): TensorProto.INT64,
}


class Graph:
    """An ONNX graph that is written down operation by operation."""

    def __init__(self, seed: int) -> None:
        self.random = np.random.default_rng(seed)
        self.nodes: list[onnx.NodeProto] = []
        self.weights: list[onnx.TensorProto] = []

    def constant(self, value: object) -> str:
        name = f"w{len(self.weights)}"
        self.weights.append(numpy_helper.from_array(np.asarray(value), name))
        return name

    def node(self, operation: str, *inputs: str, output: str | None = None, **attributes: object) -> str:
        output = output or f"n{len(self.nodes)}"
        self.nodes.append(helper.make_node(operation, list(inputs), [output], **attributes))
        return output

    def conv(self, value: str, inputs: int, outputs: int, size: int = 1) -> str:
        weight = self.random.normal(0, 1 / np.sqrt(inputs * size**2), (outputs, inputs, size, size))
        return self.node("Conv", value, self.constant(weight.astype(np.float32)), pads=[size // 2] * 4)

    def scaled(self, value: str, factor: float, offset: float = 0.0, output: str | None = None) -> str:
        product = self.node("Mul", value, self.constant(np.float32(factor)))
        return self.node("Add", product, self.constant(np.float32(offset)), output=output)

    def pixels(self, name: str, factor: float, offset: float) -> str:
        """UINT8 [b, S, S, 3] as planes."""
        floats = self.node("Cast", name, to=TensorProto.FLOAT)
        return self.scaled(self.node("Transpose", floats, perm=[0, 3, 1, 2]), factor, offset)

    def enlarged(self, latent: str) -> str:
        scales = self.constant(np.array([1, 1, 8, 8], np.float32))
        return self.node("Resize", latent, "", scales, mode="linear", coordinate_transformation_mode="half_pixel")

    def composite(self) -> tuple[str, str]:
        """COMPOSITE as planes of 0..1 and COMPOSITE_MASK as one."""
        mask = self.node("Cast", "COMPOSITE_MASK", to=TensorProto.FLOAT)
        return self.pixels("COMPOSITE", 1 / 255, 0), self.node(
            "Unsqueeze", mask, self.constant(np.array([1], np.int64))
        )

    def model(self, inputs: dict, output: str, shape: list, kind: type = np.float32, **also: list) -> onnx.ModelProto:
        """The model; `also` are further FP32 outputs and their shapes."""

        def declared(name: str, dtype: type, dims: list) -> onnx.ValueInfoProto:
            return helper.make_tensor_value_info(name, _TYPES[np.dtype(dtype)], ["batch", *dims])

        graph = helper.make_graph(
            self.nodes,
            "tiny",
            [declared(name, *value) for name, value in inputs.items()],
            [declared(output, kind, shape), *(declared(name, np.float32, dims) for name, dims in also.items())],
            self.weights,
        )
        return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)


PLANES = (np.float32, [4, "h", "w"])
SQUARE = {"COMPOSITE": (np.uint8, ["S", "S", 3]), "COMPOSITE_MASK": (np.uint8, ["S", "S"])}


def vae_encoder(broken: bool = False, seed: int = 1) -> onnx.ModelProto:
    """Averages; where it is broken, to values that are not finite."""
    graph = Graph(seed)
    pooled = graph.node("AveragePool", graph.pixels("COMPOSITE", 1 / 127.5, -1), kernel_shape=[8, 8], strides=[8, 8])
    graph.scaled(graph.conv(pooled, 3, 4), np.nan if broken else 1.0, output="COMPOSITE_LATENT")
    return graph.model({"COMPOSITE": (np.uint8, ["S", "S", 3])}, "COMPOSITE_LATENT", [4, "h", "w"])


def unet(layers: int = 1, overflow_below: float = -1.0) -> onnx.ModelProto:
    """Nearly finds the noise around the composite's latent inside the mask.

    Args:
        layers: convolutions of 64 channels; more take longer.
        overflow_below: its output is not finite at timesteps below this one.
    """
    graph = Graph(2)
    value = graph.conv(graph.node("Concat", "LATENT", "LATENT_MASK", "COMPOSITE_LATENT", axis=1), 9, _WIDTH, 3)
    axes = graph.constant(np.array([2, 3], np.int64))
    timestep = graph.node("Unsqueeze", "TIMESTEP", axes)
    time = graph.node("Mul", timestep, graph.constant(graph.random.normal(0, 1e-3, (1, _WIDTH, 1, 1)).astype("f")))
    value = graph.node("Tanh", graph.node("Add", value, time))
    for _ in range(layers):
        value = graph.node("Tanh", graph.conv(value, _WIDTH, _WIDTH, 3))
    value = graph.node("Add", graph.scaled(graph.conv(value, _WIDTH, 4), 0.3), "LATENT")
    # 1 where the timestep is high enough, else a division by zero.
    enough = graph.node("GreaterOrEqual", timestep, graph.constant(np.float32(overflow_below)))
    graph.node("Div", value, graph.node("Cast", enough, to=TensorProto.FLOAT), output="NOISE")
    mask = (np.float32, [1, "h", "w"])
    inputs = {"LATENT": PLANES, "TIMESTEP": (np.float32, [1]), "LATENT_MASK": mask, "COMPOSITE_LATENT": PLANES}
    return graph.model(inputs, "NOISE", [4, "h", "w"])


def text_encoder() -> onnx.ModelProto:
    """States that grow with the tokens."""
    graph = Graph(7)
    tokens = graph.node("Cast", "TOKENS", to=TensorProto.FLOAT)
    column = graph.node("Unsqueeze", tokens, graph.constant(np.array([2], np.int64)))
    weights = graph.random.random((1, 1, 768)).astype("f") / 49408
    graph.node("Mul", column, graph.constant(weights), output="STATES")
    return graph.model({"TOKENS": (np.int64, [77])}, "STATES", [77, 768])


def referring_unet() -> onnx.ModelProto:
    """Finds the bright half of the composite, a larger one at higher timesteps, and brightens it by the text."""
    graph = Graph(8)
    planes, every = (graph.constant(np.array(axes, np.int64)) for axes in ([1], [1, 2, 3]))
    text = graph.node("ReduceMean", "STATES", graph.constant(np.array([1, 2], np.int64)))
    text = graph.node("Reshape", text, graph.constant(np.array([-1, 1, 1, 1], np.int64)))
    time = graph.node("Unsqueeze", "TIMESTEP", graph.constant(np.array([2, 3], np.int64)))
    bright = graph.node("ReduceMean", "COMPOSITE_LATENT", planes)
    centred = graph.node("Sub", bright, graph.node("ReduceMean", "COMPOSITE_LATENT", every))
    graph.node("Add", graph.scaled(centred, 40), graph.scaled(time, 2e-3), output="MASK_LOGITS")
    goal = graph.node("Add", "COMPOSITE_LATENT", text)
    graph.node("Sub", "LATENT", graph.scaled(goal, 0.5), output="NOISE")
    inputs = {
        "LATENT": PLANES,
        "TIMESTEP": (np.float32, [1]),
        "COMPOSITE_LATENT": PLANES,
        "STATES": (np.float32, [77, 768]),
    }
    return graph.model(inputs, "NOISE", [4, "h", "w"], MASK_LOGITS=[1, "h", "w"])


def vae_decoder(broken: bool = False, seed: int = 3) -> onnx.ModelProto:
    """Enlarges; where it is broken, to values that are not finite."""
    graph = Graph(seed)
    graph.scaled(graph.enlarged(graph.conv("LATENT", 4, 3)), 0.2, np.inf if broken else 0.5, output="SMALL_RESULT")
    return graph.model({"LATENT": PLANES}, "SMALL_RESULT", [3, "S", "S"])


def tiny_encoder() -> onnx.ModelProto:
    return vae_encoder(seed=7)


def tiny_decoder() -> onnx.ModelProto:
    return vae_decoder(seed=8)


def harmony_vae() -> onnx.ModelProto:
    graph = Graph(4)
    result = graph.scaled(graph.enlarged(graph.conv("LATENT", 4, 3)), 0.2, 0.2)
    pixels, mask = graph.composite()
    graph.node("Add", result, graph.scaled(graph.node("Mul", pixels, mask), 0.5), output="SMALL_RESULT")
    return graph.model({"LATENT": PLANES} | SQUARE, "SMALL_RESULT", [3, "S", "S"])


def refinement() -> onnx.ModelProto:
    graph = Graph(5)
    pixels, mask = graph.composite()
    change = graph.node("Mul", graph.node("Sub", pixels, "RESULT"), mask)
    graph.node("Add", "RESULT", graph.scaled(change, 0.5), output="SMALL_RESULT")
    return graph.model({"RESULT": (np.float32, [3, "S", "S"])} | SQUARE, "SMALL_RESULT", [3, "S", "S"])


def latent_preview() -> onnx.ModelProto:
    graph = Graph(6)
    colours = graph.scaled(graph.conv("LATENT", 4, 3), 127.5, 127.5)
    bounds = (graph.constant(np.float32(0)), graph.constant(np.float32(255)))
    clipped = graph.node("Transpose", graph.node("Clip", colours, *bounds), perm=[0, 2, 3, 1])
    graph.node("Cast", clipped, to=TensorProto.UINT8, output="PREVIEW")
    return graph.model({"LATENT": PLANES}, "PREVIEW", ["h", "w", 3], np.uint8)


phdiffusion_encoder, phdiffusion_decoder, phdiffusion_preview = vae_encoder, vae_decoder, latent_preview


def phdiffusion_adapter() -> onnx.ModelProto:
    """Averages of the composite and its mask."""
    graph = Graph(9)
    value = graph.node("Concat", *graph.composite(), axis=1)
    for level, width in enumerate(PAINTING_WIDTHS):
        side = 8 << level
        pooled = graph.node("AveragePool", value, kernel_shape=[side] * 2, strides=[side] * 2)
        graph.node("Identity", graph.conv(pooled, 4, width), output=f"FEATURE_{level}")
    first, *others = (
        (f"FEATURE_{level}", [width, f"h{level}", f"w{level}"]) for level, width in enumerate(PAINTING_WIDTHS)
    )
    return graph.model(SQUARE, *first, **dict(others))


def phdiffusion_unet() -> onnx.ModelProto:
    """Nearly finds the noise around what the adapter says."""
    graph = Graph(10)
    told = []
    for level, width in enumerate(PAINTING_WIDTHS):
        scales = graph.constant(np.array([1, 1, 1 << level, 1 << level], np.float32))
        told.append(graph.node("Resize", graph.conv(f"FEATURE_{level}", width, 4), "", scales, mode="nearest"))
    value = graph.conv(graph.node("Concat", "LATENT", "LATENT_MASK", *told, axis=1), 21, _WIDTH, 3)
    timestep = graph.node("Unsqueeze", "TIMESTEP", graph.constant(np.array([2, 3], np.int64)))
    time = graph.node("Mul", timestep, graph.constant(graph.random.normal(0, 1e-3, (1, _WIDTH, 1, 1)).astype("f")))
    value = graph.node("Tanh", graph.node("Add", value, time))
    graph.node("Add", graph.scaled(graph.conv(value, _WIDTH, 4), 0.3), "LATENT", output="NOISE")
    features = {
        f"FEATURE_{level}": (np.float32, [width, f"h{level}", f"w{level}"])
        for level, width in enumerate(PAINTING_WIDTHS)
    }
    inputs = {"LATENT": PLANES, "TIMESTEP": (np.float32, [1]), "LATENT_MASK": (np.float32, [1, "h", "w"])}
    return graph.model(inputs | features, "NOISE", [4, "h", "w"])


def write_networks(repository: Path, *names: str, **others: onnx.ModelProto) -> None:
    """Writes the networks of a diffusion model with the project's own configurations.

    Args:
        repository: folder that receives them.
        names: which; all of them by default.
        others: networks that take the place of the usual ones, by model name.
    """
    for name in names or LATENT_NETWORKS:
        version = repository / name / "1"
        version.mkdir(parents=True)
        shutil.copy(MODEL_REPOSITORIES[0] / name / "config.pbtxt", repository / name)
        onnx.save(others.get(name) or globals()[name](), version / "model.onnx")


def write_loops(repository: Path, model: str = "diffharmony", /, **parameters: object) -> None:
    """The pipelines of one of the project's diffusion models, with some of their parameters set otherwise."""
    for name in (model, f"{model}_once"):
        (repository / name).mkdir(parents=True)
        (repository / name / "1").symlink_to(MODEL_REPOSITORIES[1] / name / "1")
        config = (MODEL_REPOSITORIES[1] / name / "config.pbtxt").read_text()
        for key, value in parameters.items():
            config, count = re.subn(rf'("{re.escape(key)}" value {{ string_value: )"[^"]*"', rf'\1"{value}"', config)
            assert count == 1
        (repository / name / "config.pbtxt").write_text(config)


def link_segmenting(repository: Path) -> None:
    """The models that ``segment`` is made of."""
    repository.mkdir(parents=True, exist_ok=True)
    for folder, name in (*((MODEL_REPOSITORIES[0], name) for name in SEGMENTING), (MODEL_REPOSITORIES[1], "segment")):
        (repository / name).symlink_to(folder / name)
