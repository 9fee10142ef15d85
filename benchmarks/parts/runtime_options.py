"""The effect of each of ONNX Runtime's options and of each graph of attention, one by one, alternating."""

from collections.abc import Callable, Mapping
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import onnxruntime

from benchmarks.floors import diffusion as bare_diffusion
from benchmarks.floors.networks import Feeds, running, sample
from benchmarks.subjects import diffusion_networks, text_guided_networks
from concord.instruments.markdown import table
from concord.instruments.timing import in_turns, percentiles
from concord.server.installation import MODEL_REPOSITORIES
from concord.session import session_options
from export import pipeline
from export.networks import declared
from export.pipelines import diffharmony
from export.publication import MODEL
from export.runtime_form import Form

WEIGHTS = Path("demo/weights/diffharmony")
SIZE = 256  # pixels, at which the demo's diffusion works
DEFAULT = "ONNX Runtime's defaults"
# In the form of Triton's configuration.
OPTIONS: Mapping[str, dict[str, Any]] = {
    DEFAULT: {},
    "no graph optimization": {"optimization": {"graph": {"level": 2}}},
    "basic graph optimization": {"optimization": {"graph": {"level": -1}}},
    "extended graph optimization": {"optimization": {"graph": {"level": 1}}},
    "threads do not spin": {"session.intra_op.allow_spinning": "0"},
    "blocks of work grow smaller": {"session.dynamic_block_base": "4"},
    "no memory arena": {"enable_mem_arena": "0"},
    "as served": {"session.intra_op.allow_spinning": "0", "session.dynamic_block_base": "4"},
}
PLAIN = "attention of plain operators"

Numbers = dict[str, dict[str, float]]
"""Milliseconds by network and option."""


def measure(rounds: int = 15) -> Numbers:
    """Every option by itself, one client, all threads; and with plain attention."""
    feeds = {name: sample(declared(name)) for name in text_guided_networks()}
    feeds |= dict.fromkeys(diffusion_networks(), bare_diffusion.feeds(SIZE))
    with TemporaryDirectory() as folder:
        plain = Path(folder) / "models"
        diffharmony.publish(pipeline.read(WEIGHTS, None, None, None), plain, Form(attention="plain"))
        return {name: by_option(name, inputs, plain, rounds) for name, inputs in feeds.items()}


def by_option(name: str, feeds: Feeds, plain: Path, rounds: int) -> dict[str, float]:
    """p50 by option; `plain` is a repository with the networks exported with plain attention."""
    path = MODEL_REPOSITORIES[0] / name / "1" / MODEL
    calls: dict[str, Callable[[], object]] = {}
    for option, values in OPTIONS.items():
        calls[option] = running(onnxruntime.InferenceSession(path, session_options(configuration(values))), feeds)
    if (plain / name).exists():
        calls[PLAIN] = running(onnxruntime.InferenceSession(plain / name / "1" / MODEL), feeds)
    return {option: percentiles(times)["p50"] for option, times in in_turns(calls, rounds).items()}


def configuration(values: dict[str, Any]) -> dict[str, Any]:
    """A model's configuration in Triton's JSON form with these options only."""
    parameters = {name: {"string_value": value} for name, value in values.items() if name != "optimization"}
    return {"optimization": values.get("optimization", {}), "parameters": parameters}


def section(numbers: Numbers) -> str:
    rows = [[option, *(written(times, option) for times in numbers.values())] for option in (*OPTIONS, PLAIN)]
    return "## ONNX Runtime, option by option: demo networks, ms (over its defaults)\n\n" + table(
        ["", *(f"`{name}`" for name in numbers)], rows
    )


def written(times: Mapping[str, float], option: str) -> str:
    return f"{times[option]:.1f} ({times[option] / times[DEFAULT]:.2f})" if option in times else ""
