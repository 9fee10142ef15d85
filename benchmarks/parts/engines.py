"""The networks of text-guided harmonization at published sizes in every engine and precision; and served in INT8.

Weights are random, from a seed, for timing only.
"""

from dataclasses import dataclass
from pathlib import Path

from benchmarks.floors import networks as bare
from benchmarks.floors import published
from benchmarks.floors.forms import DIRECT, EAGER, INT8, Forms, loaded, measured, written
from benchmarks.floors.networks import sample
from benchmarks.floors.text_guided import WHOLE, asking
from benchmarks.subjects import HEAVY, LIGHT, text_guided_networks
from concord.instruments.markdown import significant
from concord.instruments.timing import THREADS, in_turns, percentiles
from concord.scenes.encoded import scene_jpeg
from concord_client import Client
from export.networks import declared


@dataclass(frozen=True)
class Pipeline:
    """Text to harmonized image in INT8: times, and ratios to its networks in INT8 and in ONNX Runtime's default."""

    milliseconds: dict[str, dict[str, float]]
    over_bare: float
    over_onnx_runtime: float
    eager_over_ours: float


@dataclass(frozen=True)
class Numbers:
    """Every variant of each network, then CRIS with each of the harmonizers served in INT8."""

    forms: dict[str, Forms]
    pipelines: dict[str, Pipeline]


def measure(rounds: int = 5) -> Numbers:
    folder = published.text_guided()
    forms = {
        model.name: measured(model.name, folder, sample(model), bare.eager(network, model, THREADS), rounds)
        for model, network in published.networks()
    }
    pipelines = {}
    for model in (HEAVY, LIGHT):
        names = text_guided_networks(model)
        pipelines[" + ".join(names)] = in_int8(folder, model, [forms[name] for name in names], rounds)
    return Numbers(forms, pipelines)


def in_int8(folder: Path, model: str, forms: list[Forms], rounds: int) -> Pipeline:
    """A 512x512 JPEG, and the folder's two networks alone, alternating; `forms` are measurements of these."""
    names = text_guided_networks(model)
    with published.serving(folder, only=names, profile=INT8) as server, Client(server.grpc_url, timeout=300) as client:
        floor = {name: loaded(name, folder, INT8, sample(declared(name))) for name in names}
        # The server adds a few hundredths to it, less than single rounds differ by.
        times = in_turns({WHOLE: asking(client, scene_jpeg(512, 512), model), **floor}, 4 * rounds)
    milliseconds = {name: percentiles(each) for name, each in times.items()}
    ours = milliseconds[WHOLE]["p50"]
    sums = {form: sum(each.milliseconds[form]["p50"] for each in forms) for form in (EAGER, DIRECT)}
    return Pipeline(
        milliseconds,
        over_bare=ours / sum(milliseconds[name]["p50"] for name in floor),
        over_onnx_runtime=ours / sums[DIRECT],
        eager_over_ours=sums[EAGER] / ours,
    )


def section(numbers: Numbers) -> str:
    pipelines = [
        f"Served in INT8, `{name}` takes {significant(each.milliseconds[WHOLE]['p50'])} ms end to end: "
        f"{each.over_bare:.3f} times the two bare networks in INT8, {each.over_onnx_runtime:.2f} of what they take in "
        f"ONNX Runtime's default, and eager takes {each.eager_over_ours:.2f} times as long."
        for name, each in numbers.pipelines.items()
    ]
    title = "## Engines, published sizes: CRIS R50, DHT+ and HT+, random weights"
    return "\n\n".join((title, written(numbers.forms), *pipelines))
