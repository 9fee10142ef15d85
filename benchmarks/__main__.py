"""`make bench`: writes `out/bench/latency.json` and prints the same as tables."""

import argparse
import json
import platform
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

from benchmarks.diffusion import diffusion_demo
from benchmarks.facade import facade_measures
from benchmarks.published_diffusion import diffusion_published
from benchmarks.segment_harmonize import demo_latency, large_photograph, published_latency
from benchmarks.tables import print_tables
from benchmarks.timing import THREADS

OUTPUT = Path("out/bench")
REPORT = OUTPUT / "latency.json"
PUBLISHED = OUTPUT / "published"
PARTS: dict[str, Callable[[], dict[str, Any]]] = {
    "demo": demo_latency,
    "large_photograph": large_photograph,
    "published": partial(published_latency, PUBLISHED),
    "diffusion_demo": diffusion_demo,
    "diffusion_published": partial(diffusion_published, OUTPUT / "published_diffusion", PUBLISHED),
    "facade": facade_measures,
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
    parts = args.only
    PARTS["facade"] = partial(facade_measures, overload_seconds=60 * args.minutes)
    OUTPUT.mkdir(parents=True, exist_ok=True)
    measured = {"machine": machine()} | {name: PARTS[name]() for name in PARTS if name in parts}
    REPORT.write_text(json.dumps(earlier() | measured, indent=2) + "\n")
    print_tables(measured)
    print(f"\nwritten to {REPORT}")
    return 0


def earlier() -> dict[str, Any]:
    """The report of the run before, if it was made on this machine."""
    report: dict[str, Any] = json.loads(REPORT.read_text()) if REPORT.is_file() else {}
    return report if report.get("machine") == machine() else {}


def machine() -> dict[str, Any]:
    return {"processor": processor(), "threads": THREADS, "python": platform.python_version()}


def processor() -> str:
    lines = Path("/proc/cpuinfo").read_text().splitlines()
    return next((line.split(":")[1].strip() for line in lines if line.startswith("model name")), platform.machine())


if __name__ == "__main__":
    sys.exit(main())
