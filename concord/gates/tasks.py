"""The tasks with a gate: their requests for a held-out picture, and the measures of their answers."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from concord.gates.metrics import foreground_mse, intersection_over_union
from concord.images import encode_png
from concord.masks import encode_mask
from concord.scenes.photographs import PhotoComposite
from concord.scenes.scene import Scene
from concord_client import Harmonize, Request, Segment

Pixels = NDArray[np.uint8]
Picture = Scene | PhotoComposite
Means = dict[str, float]


@dataclass(frozen=True)
class GatedTask:
    """How a task's answers are judged.

    Attributes:
        given: the inputs of its request.
        words: whether that needs a text for the changed part, which only scenes have.
        request: for a picture.
        answer: name of the field with the mask or picture.
        measures: from pictures, the default's answers and the profile's: by name the value that is compared with a
            threshold of `concord.gates.thresholds.Thresholds`, and the means that it was computed from.
    """

    given: frozenset[str]
    words: bool
    request: Callable[[Any], Request[Any]]
    answer: str
    measures: Callable[[Sequence[Picture], Sequence[Pixels], Sequence[Pixels]], Mapping[str, tuple[float, Means]]]


def _ask_for_mask(scene: Scene) -> Segment:
    return Segment(encode_png(scene.composite), scene.expression)


def _overlap(
    pictures: Sequence[Picture], default: Sequence[Pixels], profile: Sequence[Pixels]
) -> Mapping[str, tuple[float, Means]]:
    """The loss of IoU with the true masks."""
    iou = _means(intersection_over_union, default, profile, [(picture.mask,) for picture in pictures])
    return {"iou_loss": (iou["default"] - iou["profile"], iou)}


def _ask_for_picture(picture: Picture) -> Harmonize:
    return Harmonize(encode_png(picture.composite), mask=encode_mask(picture.mask))


def _fidelity(
    pictures: Sequence[Picture], default: Sequence[Pixels], profile: Sequence[Pixels]
) -> Mapping[str, tuple[float, Means]]:
    """PSNR against the default's pictures, and the growth of the fMSE against the truth."""
    errors = [_squared_error(*pair) for pair in zip(default, profile, strict=True)]
    mse = {"mean": float(np.mean(errors)), "largest": float(np.max(errors))}
    fmse = _means(foreground_mse, default, profile, [(picture.truth, picture.mask) for picture in pictures])
    return {"psnr": (_decibels(mse["mean"]), mse), "fmse_worse": (fmse["profile"] / fmse["default"] - 1, fmse)}


def _means(
    score: Callable[..., float],
    default: Sequence[Pixels],
    profile: Sequence[Pixels],
    truths: Sequence[tuple[Pixels, ...]],
) -> Means:
    """Mean scores of the default's and the profile's answers."""
    return {
        name: float(np.mean([score(answer, *truth) for answer, truth in zip(answers, truths, strict=True)]))
        for name, answers in (("default", default), ("profile", profile))
    }


def _squared_error(picture: Pixels, other: Pixels) -> float:
    return float(((picture.astype(np.float32) - other) ** 2).mean())


def _decibels(squared_error: float) -> float:
    """PSNR of 8-bit pictures; infinite for equal ones."""
    return float(10 * np.log10(255**2 / squared_error)) if squared_error else float("inf")


GATED: Mapping[str, GatedTask] = {
    Segment.TASK: GatedTask(frozenset({"IMAGE", "TEXT"}), True, _ask_for_mask, "mask", _overlap),
    Harmonize.TASK: GatedTask(frozenset({"IMAGE", "MASK"}), False, _ask_for_picture, "image", _fidelity),
}
"""By the task's name."""
