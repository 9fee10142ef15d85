"""Text to harmonized image: the pipeline and its two networks alone, and the cost of a large photograph."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.floors import networks as bare
from benchmarks.floors import published
from concord.instruments.memory import MIB, Peak, resident
from concord.instruments.stages import read_statistics, stage_milliseconds
from concord.instruments.timing import THREADS, in_turns, percentiles
from concord.scenes.encoded import scene, scene_jpeg
from concord.server.embedded import EmbeddedServer, Ports
from concord.server.installation import MODEL_REPOSITORIES
from concord_client import Client
from export.networks import cris, ht

NETWORKS = ("cris", "dht")


def demo_latency(rounds: int = 40) -> dict[str, Any]:
    """Demo weights, a 512x512 JPEG, one client, and the bare networks, alternating."""
    models, ensembles = MODEL_REPOSITORIES
    floor = {
        m.name: bare.onnx_runtime(models / m.name / "1" / "model.onnx", m, THREADS) for m in (cris.NETWORK, ht.NETWORK)
    }
    with EmbeddedServer((models, ensembles), ports=Ports(0, 0, 0)) as server, Client(server.grpc_url) as client:
        result = against_floor(server, asking(client, scene_jpeg(512, 512)), floor, rounds)
        return result | {"server_mib": resident(server.processes()) / MIB}


def published_latency(folder: Path, rounds: int = 7) -> dict[str, Any]:
    """CRIS R50 and DHT+ at published size, bare ONNX Runtime and PyTorch eager, alternating.

    Args:
        folder: keeps the exported networks between runs.
    """
    models, ensembles = MODEL_REPOSITORIES
    served = published.networks()
    repository = published.repository(models, folder, served)
    floor = {m.name: bare.onnx_runtime(repository / m.name / "1" / "model.onnx", m, THREADS) for m, _ in served}
    eager = {f"{m.name} eager": bare.eager(network, m, THREADS) for m, network in served}
    with (
        EmbeddedServer((repository, ensembles), ports=Ports(0, 0, 0)) as server,
        Client(server.grpc_url, timeout=300) as client,
    ):
        result = against_floor(server, asking(client, scene_jpeg(512, 512)), floor | eager, rounds)
        memory = resident(server.processes()) / MIB
    ratios = {
        f"{name}_eager_over_onnx_runtime": result["milliseconds"][f"{name} eager"]["p50"]
        / result["milliseconds"][name]["p50"]
        for name in NETWORKS
    }
    return result | ratios | {"server_mib": memory}


def large_photograph(rounds: int = 5) -> dict[str, Any]:
    """A 4000x3000 JPEG: time of everything but the networks, and memory above the idle server's."""
    image = scene_jpeg(3000, 4000)
    with EmbeddedServer(ports=Ports(0, 0, 0)) as server, Client(server.grpc_url, timeout=120) as client:
        ask = asking(client, image)
        asking(client, scene_jpeg(512, 512))()
        with Peak(server.processes()) as peak:
            before = read_statistics(server.grpc_url)
            times = in_turns({"segment_harmonize": ask}, rounds, warm=0)
            stages = stage_milliseconds(before, read_statistics(server.grpc_url))
    p50 = percentiles(times["segment_harmonize"])["p50"]
    return {
        "segment_harmonize_ms": p50,
        "stage_milliseconds": stages,
        "without_networks_ms": p50 - sum(stages[name] for name in NETWORKS),
        "extra_mib": (peak.bytes - peak.before) / MIB,
    }


def against_floor(
    server: EmbeddedServer, ask: Callable[[], object], floor: dict[str, Callable[[], object]], rounds: int
) -> dict[str, Any]:
    """The pipeline and the floor, alternating: percentiles, the pipeline over both bare networks, and stages."""
    before = read_statistics(server.grpc_url)
    times = in_turns({"segment_harmonize": ask} | floor, rounds)
    stages = stage_milliseconds(before, read_statistics(server.grpc_url))
    bare_sum = [sum(pair) for pair in zip(*(times[name] for name in NETWORKS), strict=True)]
    return {
        "milliseconds": {name: percentiles(values) for name, values in times.items()},
        "over_bare": float(np.median(times["segment_harmonize"]) / np.median(bare_sum)),
        "stage_milliseconds": stages,
    }


def asking(client: Client, image: bytes) -> Callable[[], object]:
    expression = scene().expression
    return lambda: client.harmonize(image, text=expression)
