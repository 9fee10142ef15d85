"""On a GPU: networks of published size in every engine, the whole server, and its pictures. Empty without one."""

import importlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import partial
from typing import Any

import onnxruntime
import torch
from pydantic import TypeAdapter

from benchmarks.gpu import FOLDER, steps
from benchmarks.gpu.engines import flavour
from benchmarks.gpu.networks import Engines, measured, names, planned
from benchmarks.gpu.service import CLIENTS, GPU_PROFILES, Served, demo, judged, of_published_size, served
from benchmarks.gpu.steps import PROBLEM, Step
from benchmarks.subjects import diffusion_networks
from concord import processor
from concord.gates.gate import Gate, tables
from concord.instruments.markdown import significant, table
from concord.instruments.timing import THREADS
from concord.variants import DEFAULT

BY_DEVICE = True
"""Numbers of other GPUs stay on the page."""
PREPARE_SECONDS, MEASURE_SECONDS = 300, 120


@dataclass(frozen=True)
class Device:
    """What was measured on one GPU, and why the rest was not, by step."""

    about: str
    networks: dict[str, Engines] = field(default_factory=dict)
    served: dict[str, Served] = field(default_factory=dict)
    gates: dict[str, Gate] = field(default_factory=dict)
    problems: dict[str, str] = field(default_factory=dict)


Numbers = dict[str, Device]
"""By name of the GPU."""


def all_steps() -> dict[str, Step]:
    """By name. Those that only prepare come first."""
    return {
        **{f"plan {name}": partial(planned, name) for name in diffusion_networks()},
        **{f"network {name}": partial(measured, name) for name in names()},
        **{f"served published, {profile}": partial(served, of_published_size, profile) for profile in GPU_PROFILES},
        **{f"served demo, {profile}": partial(served, demo, profile) for profile in (*GPU_PROFILES, DEFAULT)},
        "gates": judged,
    }


def measure() -> Numbers:
    if not torch.cuda.is_available():
        return {}
    steps.run(all_steps(), FOLDER, PREPARE_SECONDS, MEASURE_SECONDS)
    return collected()


def collected() -> Numbers:
    """What the steps have left."""
    results = {path.stem: json.loads(path.read_text()) for path in sorted(FOLDER.glob("*.json"))}
    problems = {name: result[PROBLEM] for name, result in results.items() if PROBLEM in result}
    done = {name: result for name, result in results.items() if name not in problems}
    device = Device(
        about(),
        networks=of_kind("network", done),
        served=of_kind("served", done),
        gates=done.get("gates", {}),
        problems=problems,
    )
    return {torch.cuda.get_device_name(): TypeAdapter(Device).validate_python(vars(device))}


def of_kind(kind: str, results: Mapping[str, Any]) -> dict[str, Any]:
    return {name.removeprefix(f"{kind} "): each for name, each in results.items() if name.startswith(f"{kind} ")}


def about() -> str:
    """The machine around the GPU, and the versions."""
    versions = f"CUDA {torch.version.cuda}, torch {torch.__version__}, onnxruntime {onnxruntime.__version__}"
    if trt := flavour():
        versions += f", {trt} {importlib.import_module(trt.replace('-', '_')).__version__}"
    return f"{processor.name()}, {THREADS} threads; {versions}; {datetime.now(UTC):%Y-%m-%d}"


def section(numbers: Numbers) -> str:
    if not numbers:
        return "## On a GPU\n\nNot measured: `make bench` found none."
    return "\n\n".join(["## On a GPU", *(written(name, device) for name, device in numbers.items())])


def written(name: str, device: Device) -> str:
    """One GPU's numbers."""
    parts = [f"### {name}", f"{device.about}. Numbers are medians."]
    if device.networks:
        engines = list(dict.fromkeys(engine for each in device.networks.values() for engine in each.milliseconds))
        rows = [
            [f"`{network}`", *(cell(each, engine) for engine in engines)] for network, each in device.networks.items()
        ]
        parts += [
            "Networks of published size with random weights, batch 1, from arrays in the processor's memory to arrays "
            "there: ms, and in parentheses the signal to noise against PyTorch in FP32.",
            table(["network", *engines], rows),
        ]
    if device.served:
        parts += ["The server, 512x512 JPEG:", table(*server_table(device.served))]
    parts += [f"#### Gate of `{profile}`\n\n{tables(gate)}" for profile, gate in device.gates.items()]
    problems = dict(device.problems)
    for network, each in device.networks.items():
        problems |= {f"{network}, {engine}": problem for engine, problem in each.problems.items()}
    if problems:
        parts += ["Without numbers:", "\n".join(f"- {what}: {why}" for what, why in problems.items())]
    return "\n\n".join(parts)


def cell(engines: Engines, engine: str) -> str:
    if engine not in engines.milliseconds:
        return ""
    ratio = engines.decibels[engine]
    return significant(engines.milliseconds[engine]) + (f" ({ratio:.0f} dB)" if ratio < 200 else "")


def server_table(served: Mapping[str, Served]) -> tuple[list[str], list[list[Any]]]:
    """A row for each profile and kind of request."""
    header = ["weights, profile", "request", "ms", *(f"requests/s, {n} clients (p99 ms)" for n in CLIENTS)]
    rows = [
        [
            name,
            kind,
            each.milliseconds[kind],
            *(f"{significant(rate.per_second)} ({significant(rate.p99)})" for rate in rates.values()),
            each.ready_seconds,
            each.gpu_mib,
        ]
        for name, each in served.items()
        for kind, rates in each.rates.items()
    ]
    return [*header, "ready in s", "MiB of the GPU"], rows
