"""The networks in every variant that a CPU can run, judged by their gates."""

import shutil
from collections.abc import Callable
from functools import partial
from pathlib import Path

from benchmarks import OUTPUT
from concord.gates.gate import Gate, gates, tables
from concord.server.installation import MODEL_REPOSITORIES
from concord.variants import DEFAULT, variants
from export import fp16, quantization

PROFILES = ("openvino", "bf16", "int8", "fp16")
MADE = ("*.fp16.*", "*.int8.*", "*.plan*", "tuned.*")
BUILDERS: dict[str, Callable[[str, Path], str]] = {
    "fp16": partial(fp16.build, precision="fp16"),
    "int8": partial(quantization.build, precision="int8"),
}
"""By profile."""
FOLDER = OUTPUT / "demo"
Numbers = dict[str, Gate]
"""By profile."""


def measure() -> Numbers:
    networks, *pipelines = MODEL_REPOSITORIES
    make_forms(networks, FOLDER)
    return gates(PROFILES, repositories=(FOLDER, *pipelines))


def make_forms(repository: Path, folder: Path) -> None:
    """Copies a repository, and builds every variant of an exported network that is missing or of another network."""
    shutil.copytree(repository, folder, ignore=shutil.ignore_patterns("__pycache__", *MADE), dirs_exist_ok=True)
    for model, profiles in variants([folder]).items():
        for profile, build in BUILDERS.items():
            if profile in profiles and profiles[DEFAULT].made and profiles[profile].problem():
                print(build(model, folder), flush=True)


def section(numbers: Numbers) -> str:
    found = [f"### `{name}`\n\n{tables(gate)}" for name, gate in numbers.items()]
    return "\n\n".join(["## Gates: profiles against the FP32 default", *found])
