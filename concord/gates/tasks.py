"""The tasks with a gate: their requests for a held-out picture, and the measures of their answers."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from concord.arrays import Pixels
from concord.gates.metrics import decibels, foreground_mse, squared_error
from concord.gates.patches import pattern
from concord.masks import encode_mask, intersection_over_union
from concord.png import encode_png
from concord.scenes.photographs import PhotoComposite
from concord.scenes.scene import Scene
from concord_client import Generate, Harmonize, Inpaint, Pipeline, Request, Segment

Picture = Scene | PhotoComposite
Means = dict[str, float]
Measured = Mapping[str, tuple[float, Means]]

SCENES, PHOTOGRAPHS, LARGE_SCENES = "scenes", "photographs", "large scenes"
"""The kinds of pictures."""


@dataclass(frozen=True)
class GatedTask:
    """How a task's answers are judged.

    Attributes:
        task: its name.
        given: the inputs of its request.
        answer: name of the field with the mask or picture.
        measures: by kind of picture, from pictures, the default's answers and the profile's: by name the value that is
            compared with a threshold of `concord.gates.thresholds.Thresholds`, and the means that it was computed from.
            A text for the changed part is known of scenes only.
    """

    task: str
    given: frozenset[str]
    request: Callable[[Any], Request[Any]]
    answer: str
    measures: Mapping[str, Callable[[Sequence[Picture], Sequence[Pixels], Sequence[Pixels]], Measured]]


def _ask_for_mask(scene: Scene) -> Segment:
    return Segment(encode_png(scene.composite), scene.expression)


def _overlap(pictures: Sequence[Picture], default: Sequence[Pixels], profile: Sequence[Pixels]) -> Measured:
    """The loss of IoU with the true masks."""
    iou = _means(intersection_over_union, default, profile, [picture.mask for picture in pictures])
    return {"iou_loss": (iou["default"] - iou["profile"], iou)}


def _ask_by_words(scene: Scene) -> Harmonize:
    return Harmonize(encode_png(scene.composite), text=scene.expression)


def _ask_for_picture(picture: Picture) -> Harmonize:
    return Harmonize(encode_png(picture.composite), mask=encode_mask(picture.mask))


def _fidelity(pictures: Sequence[Picture], default: Sequence[Pixels], profile: Sequence[Pixels]) -> Measured:
    """PSNR against the default's pictures, and the growth of the fMSE against the truth."""
    return {**_likeness(pictures, default, profile), **_error(pictures, default, profile)}


def _ask_for_drawing(scene: Scene) -> Generate:
    return Generate(scene.expression)


def _likeness(_pictures: Sequence[Picture], default: Sequence[Pixels], profile: Sequence[Pixels]) -> Measured:
    """PSNR against the default's pictures, where no truth is known."""
    errors = [squared_error(*pair) for pair in zip(default, profile, strict=True)]
    mse = {"mean": float(np.mean(errors)), "largest": float(np.max(errors))}
    return {"psnr": (decibels(mse["mean"]), mse)}


def _error(pictures: Sequence[Picture], default: Sequence[Pixels], profile: Sequence[Pixels]) -> Measured:
    """The growth of the fMSE against the truth."""
    return _worse(pictures, [picture.mask for picture in pictures], default, profile)


def _hole(picture: Picture) -> Pixels:
    """A hole whose outline is that of the changed part, half a picture away: mostly background."""
    return np.roll(picture.mask, [side // 2 for side in picture.mask.shape], (0, 1))


def _ask_to_fill(picture: Picture) -> Inpaint:
    return Inpaint(encode_png(picture.truth), encode_mask(_hole(picture)))


def _filling(pictures: Sequence[Picture], default: Sequence[Pixels], profile: Sequence[Pixels]) -> Measured:
    """PSNR against the default's pictures, and the growth of the error in the hole."""
    worse = _worse(pictures, [_hole(picture) for picture in pictures], default, profile)
    return {**_likeness(pictures, default, profile), **worse}


def _worse(
    pictures: Sequence[Picture], masks: Sequence[Pixels], default: Sequence[Pixels], profile: Sequence[Pixels]
) -> Measured:
    fmse = _means(foreground_mse, default, profile, [picture.truth for picture in pictures], masks)
    return {"fmse_worse": (fmse["profile"] / fmse["default"] - 1, fmse)}


def _grid(pictures: Sequence[Picture], default: Sequence[Pixels], profile: Sequence[Pixels]) -> Measured:
    """Whether the network's patches show."""
    composites, masks = [picture.composite for picture in pictures], [picture.mask for picture in pictures]
    found = {
        name: pattern(composites, answers, masks) for name, answers in (("default", default), ("profile", profile))
    }
    return {"pattern": (found["profile"], found)}


def _means(
    score: Callable[..., float], default: Sequence[Pixels], profile: Sequence[Pixels], *truths: Sequence[Pixels]
) -> Means:
    """Mean scores of the default's and the profile's answers, by what is true of each picture."""
    return {
        name: float(np.mean([score(*each) for each in zip(answers, *truths, strict=True)]))
        for name, answers in (("default", default), ("profile", profile))
    }


_BY_MASK, _BY_WORDS = frozenset({"IMAGE", "MASK"}), frozenset({"IMAGE", "TEXT"})
GATED = (
    GatedTask(Segment.TASK, _BY_WORDS, _ask_for_mask, "mask", {SCENES: _overlap}),
    GatedTask(
        Harmonize.TASK,
        _BY_MASK,
        _ask_for_picture,
        "image",
        {SCENES: _fidelity, PHOTOGRAPHS: _fidelity, LARGE_SCENES: _grid},
    ),
    GatedTask(Inpaint.TASK, _BY_MASK, _ask_to_fill, "image", {SCENES: _filling, PHOTOGRAPHS: _filling}),
    GatedTask(Generate.TASK, frozenset({"TEXT"}), _ask_for_drawing, "image", {SCENES: _likeness}),
    # A pixel at the edge of a mask that a model finds itself is changed or not: no measure of a form's fidelity.
    GatedTask(Harmonize.TASK, _BY_WORDS, _ask_by_words, "image", {SCENES: _error}),
)
"""A pipeline is judged in the first way in which it can be asked."""


def gate_of(pipeline: Pipeline) -> GatedTask:
    """How a pipeline is judged, which has a gate."""
    return next(gate for gate in GATED if gate.task == pipeline.task and pipeline.takes(gate.given))
