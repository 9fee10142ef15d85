"""The parts of the benchmark, one module each, in `PARTS` in the order of the report."""

import importlib
from typing import Any, NamedTuple, Protocol, cast

PARTS = (
    "peers",
    "admission",
    "demo",
    "published",
    "diffusion_demo",
    "diffusion_published",
    "referring",
    "engines",
    "harmonizers",
    "engines_diffusion",
    "family",
    "one_graph",
    "runtime_options",
    "gates",
    "large_photograph",
    "formats",
    "image_size",
    "batch",
    "clients",
    "steps",
    "facade",
    "tracing",
    "accounts",
    "drills",
    "balanced",
    "bulk",
    "annotation",
    "loading",
    "resident",
    "scaling",
    "gpu",
)


class Row(NamedTuple):
    """A comparison of Concord with what is run instead.

    Attributes:
        factor: how many times as fast, or as small, Concord is.
        interval: that the factor lies in with 95 % certainty, in words; empty where it is not known.
    """

    instead: str
    measure: str
    theirs: float
    ours: float
    factor: float
    interval: str = ""


class Part(Protocol):
    """A part of the benchmark.

    It may also have ``instead(numbers)``, which yields `Row`s, and ``charts(numbers)``, figures of matplotlib by file.
    The JSON of its numbers can be read back. One with ``ROWS``, names, measures those that it is given, or all.
    """

    Numbers: Any

    def measure(self, *rows: Any) -> Any: ...

    def section(self, numbers: Any) -> str:
        """The numbers as a section of the report, in Markdown."""


def part(name: str) -> Part:
    """One of `PARTS`."""
    return cast(Part, importlib.import_module(f"benchmarks.parts.{name}"))
