"""The thresholds of a gate: how much pictures may differ from those of the FP32 default, by precision."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np

from concord.arrays import Pixels
from concord.gates.pictures import HeldOut
from concord.gates.tasks import Means, gate_of
from concord_client import Pipeline


@dataclass(frozen=True)
class Thresholds:
    """Thresholds of a precision.

    Attributes:
        psnr: smallest acceptable PSNR in dB against the default's pictures, of the mean error over all pictures.
        iou_loss: largest acceptable loss of the masks' mean IoU with the true ones against the default's, of 0..1.
        fmse_worse: largest acceptable growth of the pictures' mean fMSE against the default's, as a share.
        pattern: largest acceptable power of the changes at the period of a network's patches, over that beside it.
    """

    psnr: float
    iou_loss: float
    fmse_worse: float
    pattern: float = 3


GATES = {
    "fp32": Thresholds(psnr=60, iou_loss=0.001, fmse_worse=0.005),
    "fp16": Thresholds(psnr=45, iou_loss=0.01, fmse_worse=0.05),
    "bf16": Thresholds(psnr=45, iou_loss=0.01, fmse_worse=0.05),
    "int8": Thresholds(psnr=35, iou_loss=0.01, fmse_worse=0.05),
}
FORMATS = {"psnr": "{:.1f} dB", "iou_loss": "{:.4f}", "fmse_worse": "{:+.1%}", "pattern": "{:.2f}"}
LEAST = ("psnr",)  # for the others, the threshold is the largest acceptable value


@dataclass(frozen=True)
class Measure:
    """One measure of one pipeline on one kind of picture.

    Attributes:
        value: is compared with the threshold; None for the PSNR of equal pictures.
        means: what it was computed from: the mean IoU or fMSE of the default and of the profile; for the PSNR the mean
            and the largest squared error of a picture, in grey levels.
    """

    pipeline: str
    pictures: str
    count: int
    measure: str
    value: float | None
    threshold: float
    passed: bool
    means: Means


def measures(
    pipeline: Pipeline,
    pictures: HeldOut,
    reference: Mapping[str, list[Pixels]],
    answers: Mapping[str, list[Pixels]],
    thresholds: Thresholds,
) -> Iterator[Measure]:
    """The measures of a pipeline's task, from the default's answers and the profile's by kind of picture."""
    gate = gate_of(pipeline)
    for kind, items in pictures.of(gate).items():
        found = gate.measures[kind](items, reference[kind], answers[kind])
        for measure, (value, means) in found.items():
            threshold = getattr(thresholds, measure)
            yield Measure(
                pipeline=pipeline.name,
                pictures=kind,
                count=len(items),
                measure=measure,
                value=value if np.isfinite(value) else None,
                threshold=threshold,
                passed=bool(value >= threshold if measure in LEAST else value <= threshold),
                means=means,
            )


def in_words(measure: Measure) -> str:
    """A sentence such as ``harmonize, 64 scenes: psnr 41.0 dB, allowed ≥ 35.0 dB``."""
    name, value, allowed = written(measure)
    return f"{measure.pipeline}, {measure.count} {measure.pictures}: {name} {value}, allowed {allowed}"


def written(measure: Measure) -> tuple[str, str, str]:
    """A measure's name, its value and its threshold."""
    form = FORMATS[measure.measure]
    value = "of equal pictures" if measure.value is None else form.format(measure.value)
    sign = "≥" if measure.measure in LEAST else "≤"
    return measure.measure, value, f"{sign} {form.format(measure.threshold)}"
