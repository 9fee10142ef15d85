"""A model repository with one pipeline that harmonizes by a mask, whose network there are several variants of."""

import hashlib
import json
from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto

from concord.instruments.pipelines import networks
from concord.server.declared import catalogue
from concord.server.installation import MODEL_REPOSITORIES
from concord.variants import Variant, variants
from tests.serving.tiny_networks import SQUARE, Graph

MODELS, PIPELINES = MODEL_REPOSITORIES
PIPELINE = catalogue(MODEL_REPOSITORIES).choose("harmonize", None, {"IMAGE", "MASK"}, streams=False)
[NETWORK] = networks(PIPELINE, variants(MODEL_REPOSITORIES))
_CHANNELS = 16


def write_harmonizing(repository: Path, network: onnx.ModelProto | None = None) -> None:
    """Links what the pipeline is made of; another network can take the place of the project's."""
    for name in set(PIPELINE.members) - {NETWORK}:
        (repository / name).symlink_to(MODELS / name)
    (repository / PIPELINE.name).symlink_to(PIPELINES / PIPELINE.name)
    version = repository / NETWORK / "1"
    version.mkdir(parents=True)
    (repository / NETWORK / "config.pbtxt").write_text((MODELS / NETWORK / "config.pbtxt").read_text())
    if network is None:
        (version / "model.onnx").symlink_to(MODELS / NETWORK / "1" / "model.onnx")
    else:
        onnx.save(network, version / "model.onnx")


def add_variant(
    repository: Path, profile: str, network: onnx.ModelProto, precision: str = "fp32", **record: object
) -> Variant:
    """Writes a network as a profile, with a record of a passed comparison of which some entries may be others."""
    folder = repository / NETWORK
    (folder / "configs").mkdir(exist_ok=True)
    config = (folder / "config.pbtxt").read_text().replace('"model.onnx"', f'"model.{profile}.onnx"')
    (folder / "configs" / f"{profile}.pbtxt").write_text(config)
    onnx.save(network, folder / "1" / f"model.{profile}.onnx")
    made = {
        "model": NETWORK,
        "precision": precision,
        "onnx_sha256": hashlib.sha256((folder / "1" / "model.onnx").read_bytes()).hexdigest(),
        "tolerance": 0.01,
        "differences": [{"batch": 1, "difference": 0.001, "magnitude": 1.0}],
    }
    (folder / "1" / f"model.{profile}.onnx.json").write_text(json.dumps(made | record))
    return variants([repository])[NETWORK][profile]


def network(layers: int = 0, error: float = 0.0, broken: bool = False) -> onnx.ModelProto:
    """A harmonizer that dims the composite.

    Args:
        layers: convolutions that take their time and change nothing.
        error: what it answers too much, of 0..1.
        broken: its answers are not finite.
    """
    graph = Graph(7)
    pixels = graph.pixels("COMPOSITE", 1 / 255, 0)
    result = graph.scaled(pixels, 0.8, error)
    value = graph.conv(pixels, 3, _CHANNELS, 3)
    for _ in range(layers):
        value = graph.conv(value, _CHANNELS, _CHANNELS, 3)
    mask = graph.node("Cast", "COMPOSITE_MASK", to=TensorProto.FLOAT)
    time = graph.scaled(graph.conv(value, _CHANNELS, 3), 0.0)
    nothing = graph.node("Div", graph.node("Sub", mask, mask), graph.constant(np.float32(not broken)))
    result = graph.node("Add", result, graph.node("Unsqueeze", nothing, graph.constant(np.array([1], np.int64))))
    graph.node("Add", result, time, output="SMALL_RESULT")
    return graph.model(SQUARE, "SMALL_RESULT", [3, "S", "S"])
