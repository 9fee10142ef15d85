"""A network at its published size in every engine and precision, alternating."""

import gc
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

import onnxruntime
import openvino
from google.protobuf import json_format  # type: ignore[import-untyped]

from benchmarks.floors import peak, work
from benchmarks.floors.limit import NOTE, Limit, columns
from benchmarks.floors.networks import Answering, Feeds, running
from concord.instruments.markdown import cells, significant, table
from concord.instruments.timing import THREADS, Calls, in_turns, percentiles
from concord.openvino_properties import properties
from concord.repository.profiles import INT8_FILE
from concord.server.installation import MODEL_REPOSITORIES
from concord.session import run_options, session_options
from concord.variants import DEFAULT, PRECISIONS, variants
from export import direct_form, quantization
from export.onnx_file import session
from export.publication import MODEL

INT8 = "int8"
EAGER, DIRECT, OPENVINO_INT8 = "PyTorch eager", "ONNX Runtime", "OpenVINO INT8"
PROFILES = {"Concord": DEFAULT, "OpenVINO": "openvino", "OpenVINO BF16": "bf16", OPENVINO_INT8: INT8}
ESSENTIAL = ("Concord", OPENVINO_INT8)
SAMPLES = 10  # that INT8 is calibrated on: random weights are not worth more


@dataclass(frozen=True)
class Int8:
    """The record of a network's INT8 variant, and its size."""

    snr_db: float
    megabytes: float


@dataclass(frozen=True)
class Forms:
    """A network's percentiles by variant; PyTorch's time over each, and each over the network as published.

    The network as published runs in ONNX Runtime's default session.
    """

    milliseconds: dict[str, dict[str, float]]
    eager_over: dict[str, float]
    over_onnx_runtime: dict[str, float]
    int8: Int8
    limit: Limit | None = field(default=None, kw_only=True)


def measured(
    name: str, folder: Path, feeds: Feeds, eager: Callable[[], object], rounds: int, only: tuple[str, ...] = ()
) -> Forms:
    """Times a network of a repository in every variant, or in PyTorch, ONNX Runtime's default and those named."""
    record = build_int8(name, folder)
    with TemporaryDirectory(dir=folder.parent) as place:  # left over from a killed run
        calls: Calls = {EAGER: eager, DIRECT: direct(folder / name / "1" / MODEL, Path(place), feeds)} | {
            form: loaded(name, folder, profile, feeds, Path(place) / MODEL)
            for form, profile in PROFILES.items()
            if form in (only or PROFILES)
        }
        milliseconds = {form: percentiles(times) for form, times in in_turns(calls, rounds).items()}
        done = work.gigaflop_as_written(Path(place) / MODEL, feeds)
    times = {form: row["p50"] for form, row in milliseconds.items()}
    return Forms(
        milliseconds,
        eager_over={form: times[EAGER] / each for form, each in times.items()},
        over_onnx_runtime={form: each / times[DIRECT] for form, each in times.items()},
        int8=record,
        limit=Limit(dict.fromkeys(calls, done), peak.gigaflops(), {form: precision(form) for form in calls}),
    )


def precision(form: str) -> str:
    """In which a form computes, where the processor can: FP32, if its profile is not named after another one."""
    profile = PROFILES.get(form)
    return profile if profile in PRECISIONS else PRECISIONS[0]


def direct(path: Path, place: Path, feeds: Feeds) -> Callable[[], object]:
    """The network as published, in ONNX Runtime's default session; `place` keeps its file meanwhile."""
    direct_form.write(path, place / MODEL)
    return running(session(place / MODEL, THREADS), feeds)


def loaded(name: str, folder: Path, profile: str, feeds: Feeds, direct: Path | None = None) -> Callable[[], object]:
    """A call that runs a network in this process once; see `opened`."""
    return partial(opened(name, folder, profile, direct), feeds)


def opened(name: str, folder: Path, profile: str, direct: Path | None = None) -> Answering:
    """A network in this process, with the profile's configuration; it takes its own inputs from what it is given.

    Args:
        direct: the network with direct convolutions, as exported for OpenVINO.
    """
    variant = variants(MODEL_REPOSITORIES)[name][profile]
    settings, path = json_format.MessageToDict(variant.settings, preserving_proto_field_name=True), variant.file
    if variant.settings.backend == "openvino":
        file = direct if direct is not None and path == MODEL else folder / name / "1" / path
        compiled = openvino.Core().compile_model(file, "CPU", properties(settings))
        request, inputs = compiled.create_infer_request(), [tensor.any_name for tensor in compiled.inputs]
        return lambda feeds: list(request.infer({each: feeds[each] for each in inputs}, share_inputs=True).values())
    network = onnxruntime.InferenceSession(folder / name / "1" / path, session_options(settings))
    names, options = [tensor.name for tensor in network.get_inputs()], run_options(settings)
    return lambda feeds: network.run(None, {each: feeds[each] for each in names}, options)


def build_int8(name: str, folder: Path) -> Int8:
    """The record of a network's INT8 variant, which is built if it is missing."""
    version = folder / name / "1"
    if not (version / INT8_FILE).exists():
        print(quantization.build(name, folder, "int8", number=SAMPLES), flush=True)
        gc.collect()
    record = json.loads((version / f"{INT8_FILE}.json").read_text())
    return Int8(record["snr_db"][0], (version / INT8_FILE).with_suffix(".bin").stat().st_size / 1e6)


def written(forms: Mapping[str, Forms]) -> str:
    """Every variant of every network, for the report."""
    rows: list[list[object]] = []
    further: list[str] = []
    for name, each in forms.items():
        spent = {form: row["p50"] for form, row in each.milliseconds.items()}
        beside = columns(each.limit, spent)
        further = list(beside)
        rows += [
            [f"`{name}`", form, time, each.eager_over[form], each.over_onnx_runtime[form], *cells(beside, form)]
            for form, time in spent.items()
        ]
    made = "; ".join(
        f"`{name}` {significant(each.int8.megabytes)} MB, {each.int8.snr_db:.1f} dB" for name, each in forms.items()
    )
    header = ["network", "form", "ms", "eager takes times as long", "over ONNX Runtime's default", *further]
    note = f"\n\n{NOTE}" if further else ""
    return f"{table(header, rows)}{note}\n\nINT8 on disk, and its signal to noise: {made}."
