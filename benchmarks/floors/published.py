"""A model repository with networks at their published sizes and random weights from a seed, for timing only."""

import shutil
from pathlib import Path

import torch
from torch import nn

from export.networks import harmony_transformer
from export.networks.cris import R50, Cris
from export.networks.harmony_transformer import HarmonyTransformerConfig
from export.onnx_file import publish
from export.served_model import CRIS, DHT, ServedModel
from export.serving import ServedCris, ServedHarmonizer


def networks() -> list[tuple[ServedModel, nn.Module]]:
    """CRIS R50 and DHT+ as they are served."""
    torch.manual_seed(0)
    dht = harmony_transformer.build(HarmonyTransformerConfig("dht_plus"))
    return [(CRIS, ServedCris(Cris(R50)).eval()), (DHT, ServedHarmonizer(dht).eval())]


def repository(source: Path, target: Path, served: list[tuple[ServedModel, nn.Module]]) -> Path:
    """A copy of `source` at `target` with the networks exported into it; made only if it is missing."""
    done = target / ".complete"
    if not done.exists():
        shutil.rmtree(target, ignore_errors=True)
        shutil.copytree(source, target)
        for model, network in served:
            publish(network, model, target, {"network": "published size, random weights"})
        done.touch()
    return target
