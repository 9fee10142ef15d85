"""The parts of the benchmark, one module each, in `PARTS` in the order of the report."""

import importlib
from typing import Any, Protocol, cast

PARTS = (
    "peers",
    "demo",
    "published",
    "diffusion_demo",
    "diffusion_published",
    "engines",
    "engines_diffusion",
    "runtime_options",
    "gates",
    "large_photograph",
    "image_size",
    "batch",
    "clients",
    "steps",
    "facade",
    "gpu",
)


class Part(Protocol):
    """A part of the benchmark.

    It may also have ``instead(numbers)``, rows for `benchmarks.instead`, and ``charts(numbers)``, figures of matplotlib
    by the name of their file.

    Attributes:
        Numbers: type of what is measured; its JSON can be read back.
    """

    Numbers: Any

    def measure(self) -> Any:
        """Measures."""

    def section(self, numbers: Any) -> str:
        """The numbers as a section of the report, in Markdown."""


def part(name: str) -> Part:
    """One of `PARTS`."""
    return cast(Part, importlib.import_module(f"benchmarks.parts.{name}"))
