"""Diffusion: what may be asked of it, how far it is, and what a stream of its answers adds up to.

Pure, like `concord_client.pipelines`. The server decides which values are allowed; here is only what a tensor can hold.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Literal, TypeAlias, get_args

import numpy as np

from concord_client.errors import ServerError
from concord_client.pipelines import Answer, Question, Value, encode_text

DIFFHARMONY = "diffharmony"
DIFFHARMONY_ONCE = "diffharmony_once"
"""The same model for protocols without streams: one request, one answer, no steps in between."""

Harmonizer: TypeAlias = Literal["dht", "diffharmony"]
"""What harmonizes: one pass of a transformer, or a diffusion model step by step."""

_WHOLE_NUMBERS: dict[str, type[np.int32] | type[np.int64]] = {
    "seed": np.int64,
    "steps": np.int32,
    "resolution": np.int32,
}
_ANSWERED_BY_STEP = ("STEP", "TOTAL", "PREVIEW")


@dataclass(frozen=True)
class Diffusion:
    """How a diffusion model is to work; what is None is the server's to choose, and is not sent.

    Args:
        seed: of the noise, 0..2^63-1; the same seed gives the same picture.
        steps: of denoising.
        sampler: ``euler_ancestral``, ``dpmpp_2m`` or ``ddim``.
        resolution: pixels of the side of the square that is denoised; the answer has the photograph's size anyway.
        preview: whether every step brings a small picture of what it has so far.
        decoder: ``plain``, or ``harmony`` for the decoder that sees the photograph.
        refine: whether the refinement network follows the decoder.

    Raises:
        ValueError: a whole number that its tensor cannot hold.
    """

    seed: int | None = None
    steps: int | None = None
    sampler: str | None = None
    resolution: int | None = None
    preview: bool | None = None
    decoder: str | None = None
    refine: bool | None = None

    def __post_init__(self) -> None:
        for name, datatype in _WHOLE_NUMBERS.items():
            value, limits = getattr(self, name), np.iinfo(datatype)
            if value is None:
                continue
            if not isinstance(value, int | np.integer) or not limits.min <= value <= limits.max:
                raise ValueError(f"{name} is {value!r}; allowed: a whole number of {limits.bits} bits")

    def inputs(self) -> dict[str, Value]:
        """The tensors of what is set."""
        inputs: dict[str, Value] = {
            name.upper(): datatype(getattr(self, name))
            for name, datatype in _WHOLE_NUMBERS.items()
            if getattr(self, name) is not None
        }
        inputs |= {
            name: encode_text(text)
            for name, text in (("SAMPLER", self.sampler), ("DECODER", self.decoder))
            if text is not None
        }
        return inputs | {
            name: np.bool_(flag)
            for name, flag in (("PREVIEW", self.preview), ("REFINE", self.refine))
            if flag is not None
        }


@dataclass(frozen=True)
class Progress:
    """How far a diffusion is.

    Args:
        step: steps done; 0 when the server has begun.
        total: steps in all.
        preview: a small JPEG of what the picture would be; None where `Diffusion.preview` does not ask for it.
    """

    step: int
    total: int
    preview: bytes | None = None


OnStep: TypeAlias = Callable[[Progress], object]
"""Is told of every step; what it raises ends the call."""


class Steps:
    """What the answers of one call add up to: they are received one by one, the last holds the picture."""

    def __init__(self, on_step: OnStep | None = None) -> None:
        self._on_step = on_step
        self._step = -1
        self._harmonized: Answer | None = None

    @property
    def begun(self) -> bool:
        """Whether a step was reported done; asking again would do it twice."""
        return self._step > 0

    @property
    def harmonized(self) -> Answer:
        """The last answer.

        Raises:
            ServerError: it has not come.
        """
        if self._harmonized is None:
            raise ServerError("the server's answers ended before the picture")
        return self._harmonized

    def receive(self, answer: Answer) -> None:
        """Takes the next answer; one without tensors, which only ends a stream, says nothing."""
        if "HARMONIZED" in answer:
            self._harmonized = answer
        if "STEP" not in answer or "TOTAL" not in answer:
            return
        step = int(answer["STEP"].item())
        # The last answer comes after the decoder, and repeats the number of the last step.
        if step != self._step:
            self._step = step
            if self._on_step is not None:
                preview = answer["PREVIEW"].item() if "PREVIEW" in answer else b""
                self._on_step(Progress(step, int(answer["TOTAL"].item()), preview or None))


def is_diffusion(model: Harmonizer, diffusion: Diffusion | None, on_step: OnStep | None) -> bool:
    """Whether a model works in steps.

    Raises:
        ValueError: an unknown model, or settings or a callback for steps that the model does not have.
    """
    if model not in get_args(Harmonizer):
        raise ValueError(f"model is {model!r}; allowed: {', '.join(get_args(Harmonizer))}")
    for name, value in (("diffusion", diffusion), ("on_step", on_step)):
        if value is not None and model != DIFFHARMONY:
            raise ValueError(f"{name} is for a model with steps ({DIFFHARMONY}); {model} has none")
    return model == DIFFHARMONY


def diffuse_question(
    image: bytes, text: str | None, mask: bytes | None, return_mask: bool, diffusion: Diffusion
) -> Question:
    """Asks `DIFFHARMONY`, which finds the part that a text names by itself.

    Raises:
        ValueError: neither or both of text and mask were given.
    """
    inputs: dict[str, Value] = {"IMAGE": image}
    outputs = ["STEP", "TOTAL", *(("PREVIEW",) if diffusion.preview else ()), "HARMONIZED", "SEED"]
    if mask is not None and text is None:
        inputs["MASK"] = mask
    elif text is not None and mask is None:
        inputs["TEXT"] = encode_text(text)
        outputs += ["SCORE", "TRUNCATED", *(("MASK",) if return_mask else ())]
    else:
        raise ValueError("give either a text or a mask")
    return Question(DIFFHARMONY, inputs | diffusion.inputs(), tuple(outputs))


def with_deadline(question: Question, seconds: float) -> Question:
    """The question with the time left for it, so that the server stops by itself when that is over."""
    return replace(question, inputs={**question.inputs, "TIMEOUT": np.float32(seconds)})


def at_once(question: Question) -> Question:
    """The question for a protocol without streams: for `DIFFHARMONY_ONCE`, without what only steps answer."""
    return Question(
        DIFFHARMONY_ONCE,
        {name: value for name, value in question.inputs.items() if name != "PREVIEW"},
        tuple(name for name in question.outputs if name not in _ANSWERED_BY_STEP),
        question.headers,
    )
