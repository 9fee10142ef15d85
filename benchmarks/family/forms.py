"""A network of the family in every engine and precision, against PyTorch in the same run."""

import shutil
import traceback
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from tempfile import TemporaryDirectory

import openvino as ov

from benchmarks.family import apart
from benchmarks.family.apart import Eager
from benchmarks.family.subject import Subject, sample
from benchmarks.floors.forms import EAGER, INT8, OPENVINO_INT8, SAMPLES, opened
from benchmarks.floors.networks import Feeds
from concord import processor
from concord.instruments.timing import percentiles
from concord.repository.profiles import INT8_FILE
from concord.server.installation import MODEL_REPOSITORIES
from concord.variants import DEFAULT, variants
from export import calibration, direct_form, quantization
from export.judgement import Samples, signal_to_noise
from export.network import Network
from export.networks import declared
from export.publication import MODEL, WEIGHTS, exported

EXACT = "ONNX Runtime FP32"
BF16 = "bf16"
PROFILES = {EXACT: DEFAULT, "OpenVINO FP32": "openvino", "OpenVINO BF16": BF16, OPENVINO_INT8: INT8}
HELD_OUT = 2  # samples that answers are compared on


@dataclass(frozen=True)
class Form:
    """A network in one engine and precision.

    Attributes:
        milliseconds: percentiles of a call.
        eager_over: PyTorch's p50, in turns with these calls, over theirs.
        peak_mib: that its process had more at the most, from before it was loaded to behind the first call.
        megabytes: of its files.
        snr_db: of its answers against those of `EXACT`; None of `EXACT` itself.
    """

    milliseconds: dict[str, float]
    eager_over: float
    peak_mib: float
    megabytes: float
    snr_db: float | None = None


@dataclass(frozen=True)
class Row:
    """A network in all forms that this machine has; the problem of those that could not be measured.

    Attributes:
        shape: of its first input.
        classes: whose layers it has in PyTorch.
        goal: how many times as long as the fastest form PyTorch is to take; None where that is not asked for.
        millions: of parameters.
        eager: percentiles of a call in PyTorch, of all its turns.
        eager_mib: see `Form.peak_mib`.
    """

    network: str
    shape: str
    classes: str
    goal: float | None
    millions: float
    eager: dict[str, float]
    eager_mib: float
    forms: dict[str, Form]
    problems: dict[str, str]


def measured(subjects: Sequence[Subject], place: Path, rounds: int) -> Iterator[tuple[str, Row | str]]:
    """Name and row of one after the other, or its problem in words; `place` is a folder that is removed.

    At any time there is one export in it.
    """
    for publish, group in groupby(subjects, lambda subject: subject.publish):
        shutil.rmtree(place, ignore_errors=True)
        place.mkdir(parents=True)
        problem = ""
        try:
            with apart.apart() as process:
                process.run(publish, place / "models")
        except Exception as error:
            problem = in_words(error)
        for subject in group:
            try:
                yield subject.name, problem or row(subject, place, rounds)
            except Exception as error:
                yield subject.name, in_words(error)
    shutil.rmtree(place, ignore_errors=True)


def in_words(error: Exception) -> str:
    """The first line of an error, all of which is printed."""
    traceback.print_exception(error)
    return f"{type(error).__name__}: {str(error).strip().partition(chr(10))[0]}"[:300]


def row(subject: Subject, place: Path, rounds: int) -> Row:
    """A network that is exported in a place, in one form after the other, each in turns with PyTorch."""
    model, models = declared(subject.network), place / "models"
    feeds, problems = sample(model, subject.side), dict[str, str]()
    found: dict[str, Form] = {}
    spent: list[float] = []
    exact: list[Samples] = []
    with TemporaryDirectory(dir=place) as folder:
        direct = Path(folder) / MODEL
        with apart.apart() as process:
            seen = process.run(prepared, model.name, models, direct) or [feeds]
        # Ahead of PyTorch, whose process holds gigabytes that this wants.
        if OPENVINO_INT8 in profiles(model):
            try:
                with apart.apart() as process:
                    process.run(quantize, model.name, models, direct)
            except Exception as error:
                problems[OPENVINO_INT8] = in_words(error)
        with apart.apart() as eager:
            eager_mib = eager.load(feeds, Eager, subject.eager, [tensor.name for tensor in model.inputs])
            for form, profile in profiles(model).items():
                if form in problems:
                    continue
                try:
                    with apart.apart() as process:
                        mib = process.load(feeds, opened, model.name, models, profile, direct)
                        given = process.run(apart.answers, seen)
                        times = apart.in_turns({EAGER: eager, form: process}, feeds, rounds)
                except Exception as error:
                    problems[form] = in_words(error)
                    continue
                spent += times[EAGER]
                exact = given if form == EXACT else exact
                milliseconds = percentiles(times[form])
                found[form] = Form(
                    milliseconds,
                    eager_over=percentiles(times[EAGER])["p50"] / milliseconds["p50"],
                    peak_mib=mib,
                    megabytes=sum(path.stat().st_size for path in files(model, models, profile, direct)) / 1e6,
                    snr_db=signal_to_noise(exact, given) if exact and form != EXACT else None,
                )
            millions = eager.run(apart.parameters) / 1e6
    return Row(
        network=model.name,
        shape="x".join(map(str, next(iter(feeds.values())).shape)),
        classes=subject.classes,
        goal=subject.goal,
        millions=millions,
        eager=percentiles(spent),
        eager_mib=eager_mib,
        forms=found,
        problems=problems,
    )


def profiles(model: Network) -> dict[str, str]:
    """Of `PROFILES` those that a network is served with, where this processor has their precision."""
    has_bf16 = not set(processor.BF16).isdisjoint(processor.kinds())
    served = variants(MODEL_REPOSITORIES)[model.name]
    return {form: name for form, name in PROFILES.items() if name in served and (name != BF16 or has_bf16)}


def prepared(model: str, models: Path, direct: Path) -> list[Feeds]:
    """Writes the network as OpenVINO reads it; what it sees of held-out scenes, where that is declared."""
    direct_form.write(exported(models, model), direct)
    return list(calibration.feeds(model, models, HELD_OUT, held_out=True)) if declared(model).seen else []


def quantize(model: str, models: Path, direct: Path) -> None:
    """Writes the INT8 form, which need not pass what is asked of one that is to be served."""
    how = declared(model).quantization
    assert how is not None
    seen = calibration.feeds(model, models, SAMPLES)
    network = quantization.quantize(ov.Core().read_model(direct), seen, how)
    ov.save_model(network, models / model / "1" / INT8_FILE, compress_to_fp16=False)


def files(model: Network, models: Path, profile: str, direct: Path) -> list[Path]:
    """Of a form."""
    version = models / model.name / "1"
    if profile == DEFAULT:
        return [version / MODEL, *version.glob(WEIGHTS)]
    quantized = version / INT8_FILE
    return [quantized, quantized.with_suffix(".bin")] if profile == INT8 else list(direct.parent.iterdir())
