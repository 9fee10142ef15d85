"""The other harmonizers that answer in one pass, at published sizes, in every engine and precision.

Weights are random, from a seed, for timing only.
"""

from dataclasses import dataclass

from benchmarks.floors import networks as bare
from benchmarks.floors import published
from benchmarks.floors.forms import Forms, measured, written
from concord.instruments.timing import THREADS


@dataclass(frozen=True)
class Numbers:
    """Every variant, by the name of the published form."""

    forms: dict[str, Forms]


def measure(rounds: int = 5) -> Numbers:
    found = {}
    for form, (model, network) in published.other_harmonizers().items():
        folder = published.other_harmonizer(form, model, network)
        eager, feeds = bare.eager(network, model, THREADS), bare.sample(model)
        found[form] = measured(model.name, folder, feeds, eager, rounds)
    return Numbers(found)


def section(numbers: Numbers) -> str:
    return f"## Other harmonizers, published sizes, random weights\n\n{written(numbers.forms)}"
