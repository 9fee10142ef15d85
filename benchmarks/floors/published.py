"""A model repository with networks at their published sizes and random weights from a seed, for timing only."""

import shutil
from pathlib import Path

import torch
from torch import nn

from export.network import Network
from export.networks import cris, dht
from export.networks.cris import ServedCris
from export.networks.harmonizer import ServedHarmonizer
from export.onnx_file import publish


def networks() -> list[tuple[Network, nn.Module]]:
    """CRIS R50 and DHT+ as they are served."""
    torch.manual_seed(0)
    harmonizer = ServedHarmonizer(dht.NETWORK.published["dht_plus"]())
    return [(cris.NETWORK, ServedCris(cris.Cris(cris.R50)).eval()), (dht.NETWORK, harmonizer.eval())]


def repository(source: Path, target: Path, served: list[tuple[Network, nn.Module]]) -> Path:
    """A copy of `source` at `target` with the networks exported into it; made only if it is missing."""
    done = target / ".complete"
    if not done.exists():
        shutil.rmtree(target, ignore_errors=True)
        shutil.copytree(source, target)
        for model, network in served:
            publish(network, model, target, {"network": "published size, random weights"})
        done.touch()
    return target
