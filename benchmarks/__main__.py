"""`make bench`: writes `out/bench/report.json`, the report and its charts beside it, and prints the measurements."""

import argparse
import json
import sys
from collections.abc import Callable
from datetime import UTC, datetime
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import Any

import psutil

from benchmarks.parts import curves, engines, forms, runtime_options
from benchmarks.parts.diffusion import diffusion_demo
from benchmarks.parts.facade import facade_measures
from benchmarks.parts.gpu import gpu
from benchmarks.parts.published_diffusion import diffusion_published
from benchmarks.parts.segment_harmonize import demo_latency, large_photograph, published_latency
from benchmarks.peers.comparison import peers
from benchmarks.report import page as report
from concord.instruments.machine import machine

OUTPUT = Path("out/bench")
REPORT = OUTPUT / "report.json"
PUBLISHED = OUTPUT / "published"
PACKAGES = ("onnxruntime", "openvino", "torch", "diffusers", "litserve", "fastapi", "nvidia-pytriton")
PARTS: dict[str, Callable[[], dict[str, Any]]] = {
    "demo": demo_latency,
    "large_photograph": large_photograph,
    "published": partial(published_latency, PUBLISHED),
    "diffusion_demo": diffusion_demo,
    "diffusion_published": partial(diffusion_published, OUTPUT / "published_diffusion", PUBLISHED),
    "engines": partial(engines.engines, PUBLISHED, OUTPUT / "published_ht"),
    "engines_diffusion": partial(engines.engines_diffusion, OUTPUT / "published_diffusion", PUBLISHED),
    "runtime_options": runtime_options.runtime_options,
    "gates": partial(forms.measured_gates, OUTPUT / "demo"),
    "peers": peers,
    "image_size": curves.image_size,
    "batch": curves.batch,
    "clients": curves.clients,
    "steps": curves.steps,
    "facade": facade_measures,
    "gpu": partial(gpu, OUTPUT / "published_gpu", PUBLISHED),
}


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument(
        "--only",
        nargs="+",
        choices=PARTS,
        default=list(PARTS),
        metavar="PART",
        help=f"of {', '.join(PARTS)}; what the file says of the others stays, if it is of this machine",
    )
    parser.add_argument("--minutes", type=float, default=1, help="how long the facade is asked too much (default: 1)")
    args = parser.parse_args()
    PARTS["facade"] = partial(facade_measures, overload_seconds=60 * args.minutes)
    here = {"machine": named_machine()}
    whole = earlier() | here
    for name in [name for name in PARTS if name in args.only]:
        whole[name] = PARTS[name]()
        whole["measured"] = whole.get("measured", {}) | {name: f"{datetime.now(UTC):%Y-%m-%d %H:%M}"}
        # After every part: the last one ends hours after the first.
        report.write(whole, OUTPUT / "report.md")
    print(report.render({name: whole[name] for name in (*here, *PARTS) if name in here or name in args.only}))
    print(f"written to {OUTPUT / 'report.md'}, with its numbers in {REPORT}")
    return 0


def earlier() -> dict[str, Any]:
    """The previous run's report, if it is from this machine and the same packages."""
    whole: dict[str, Any] = json.loads(REPORT.read_text()) if REPORT.is_file() else {}
    return whole if whole.get("machine") == named_machine() else {}


def named_machine() -> dict[str, Any]:
    """The machine and the versions of the packages."""
    memory = round(psutil.virtual_memory().total / (1 << 30))
    return machine() | {"memory_gib": memory, "versions": {name: version(name) for name in PACKAGES}}


if __name__ == "__main__":
    sys.exit(main())
