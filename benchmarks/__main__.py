"""`make bench`: writes `out/bench/latency.json` and prints the same as a table."""

import json
import os
import platform
import sys
from collections.abc import Callable
from io import BytesIO
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from PIL import Image

from benchmarks import bare, published
from benchmarks.memory import Peak, resident
from benchmarks.stages import read_statistics, stage_milliseconds
from benchmarks.timing import in_turns, percentiles
from concord.installation import MODEL_REPOSITORIES
from concord.server import EmbeddedServer, Ports
from concord_client import Client
from demo.scenes import make_scene
from export.served_model import CRIS, DHT

OUTPUT = Path("out/bench")
THREADS = len(os.sched_getaffinity(0))
NETWORKS = ("cris", "dht")
SEED = 1_000_001
MIB = 1 << 20


def main() -> int:
    OUTPUT.mkdir(parents=True, exist_ok=True)
    report = {
        "machine": {"processor": processor(), "threads": THREADS, "python": platform.python_version()},
        "demo": demo_latency(rounds=40),
        "large_photograph": large_photograph(rounds=5),
        "published": published_latency(rounds=7),
    }
    (OUTPUT / "latency.json").write_text(json.dumps(report, indent=2) + "\n")
    print_table(report)
    print(f"\nwritten to {OUTPUT}/latency.json")
    return 0


def demo_latency(rounds: int) -> dict[str, Any]:
    """Demo weights, a 512x512 JPEG, one client, against the bare networks in turns."""
    models, ensembles = MODEL_REPOSITORIES
    floor = {m.name: bare.onnx_runtime(models / m.name / "1" / "model.onnx", m, THREADS) for m in (CRIS, DHT)}
    with EmbeddedServer((models, ensembles), ports=Ports(0, 0, 0)) as server, Client(server.grpc_url) as client:
        result = against_floor(server, asking(client, scene_jpeg(512, 512)), floor, rounds)
        return result | {"server_mib": resident(server.processes()) / MIB}


def published_latency(rounds: int) -> dict[str, Any]:
    """CRIS R50 and DHT+ at published size, against bare ONNX Runtime and PyTorch eager in turns."""
    models, ensembles = MODEL_REPOSITORIES
    served = published.networks()
    repository = published.repository(models, OUTPUT / "published", served)
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


def large_photograph(rounds: int) -> dict[str, Any]:
    """A 4000x3000 JPEG: what everything but the networks costs, in time and in memory above the idle server's."""
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
    """The pipeline and the floor in turns: percentiles, the pipeline over the sum of the bare networks, and stages."""
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
    expression = make_scene(SEED, (384, 512)).expression
    return lambda: client.harmonize(image, text=expression)


def scene_jpeg(height: int, width: int) -> bytes:
    """A held-out scene at any size, with grain so that it compresses as a photograph does."""
    picture = cv2.resize(make_scene(SEED, (384, 512)).composite, (width, height), interpolation=cv2.INTER_CUBIC)
    grain = np.random.default_rng(0).normal(0, 4, (height, width, 1))
    stream = BytesIO()
    Image.fromarray(np.clip(picture + grain, 0, 255).astype(np.uint8)).save(stream, "JPEG", quality=92)
    return stream.getvalue()


def processor() -> str:
    lines = Path("/proc/cpuinfo").read_text().splitlines()
    return next((line.split(":")[1].strip() for line in lines if line.startswith("model name")), platform.machine())


def print_table(report: dict[str, Any]) -> None:
    print(f"\n{report['machine']['processor']}, {THREADS} threads, torch {torch.__version__}")
    for title in ("demo", "published"):
        part = report[title]
        print(f"\n{title} weights, 512x512 JPEG, one client (ms)")
        for name, row in part["milliseconds"].items():
            print(f"  {name:18} " + "  ".join(f"{key} {value:8.1f}" for key, value in row.items()))
        print(f"  end to end over the bare networks {part['over_bare']:.3f}; server {part['server_mib']:.0f} MiB")
        print("  stages: " + ", ".join(f"{name} {value:.1f}" for name, value in part["stage_milliseconds"].items()))
    for name in NETWORKS:
        print(f"  {name}: PyTorch eager takes {report['published'][f'{name}_eager_over_onnx_runtime']:.2f}x as long")
    large = report["large_photograph"]
    print(
        f"\n4000x3000 JPEG: {large['segment_harmonize_ms']:.0f} ms, without the networks "
        f"{large['without_networks_ms']:.0f} ms, {large['extra_mib']:.0f} MiB above the idle server"
    )
    print("  stages: " + ", ".join(f"{name} {value:.1f}" for name, value in large["stage_milliseconds"].items()))


if __name__ == "__main__":
    sys.exit(main())
