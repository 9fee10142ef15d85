"""`make bench`: writes `out/bench/report.json`, the report and its charts beside it, and prints the measurements."""

import argparse
import json
import sys
from contextlib import suppress
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from typing import Any

import psutil
from pydantic import TypeAdapter

from benchmarks import OUTPUT, page
from benchmarks.parts import PARTS, part
from concord import processor
from concord.instruments.timing import machine

REPORT = OUTPUT / "report.json"
PACKAGES = ("onnxruntime", "openvino", "torch", "diffusers", "litserve", "fastapi", "nvidia-pytriton")


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
    only = parser.parse_args().only
    here = {"machine": named_machine()}
    whole = earlier() | here
    for name in [name for name in PARTS if name in only]:
        module = part(name)
        whole[name] = TypeAdapter(module.Numbers).dump_python(module.measure(), mode="json")
        whole["measured"] = whole.get("measured", {}) | {name: f"{datetime.now(UTC):%Y-%m-%d %H:%M}"}
        # After every part: the last one ends hours after the first.
        page.write(whole, OUTPUT / "report.md")
    print(page.render({name: whole[name] for name in (*here, *only)}, REPORT.stem))
    print(f"written to {OUTPUT / 'report.md'}, with its numbers in {REPORT}")
    return 0


def earlier() -> dict[str, Any]:
    """The previous run's report, if it is from this machine and the same packages."""
    whole: dict[str, Any] = json.loads(REPORT.read_text()) if REPORT.is_file() else {}
    return whole if whole.get("machine") == named_machine() else {}


def named_machine() -> dict[str, Any]:
    """The machine, the kind of its processor, and the versions of the packages."""
    memory = round(psutil.virtual_memory().total / (1 << 30))
    return machine() | {"kind": processor.here()[-1], "memory_gib": memory, "versions": versions()}


def versions() -> dict[str, str]:
    """Of the packages that are installed: on a GPU, some are not needed, or have another name."""
    found = {}
    for name in PACKAGES:
        with suppress(PackageNotFoundError):
            found[name] = version(name)
    return found


if __name__ == "__main__":
    sys.exit(main())
