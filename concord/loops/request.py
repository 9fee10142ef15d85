"""What one request to a diffusion model asks for, checked before anything is computed."""

import math
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

from concord.errors import InvalidImage, InvalidSetting
from concord.model_config import InvalidParameter, whole_parameter
from concord.noise import MAX_SEED
from concord.samplers import MAX_STEPS, SAMPLERS
from concord_client.catalogue import Pipeline

_Choice = TypeVar("_Choice")

RESOLUTIONS = (256, 512, 768, 1024)
DECODERS = ("plain", "harmony")
DEFAULT_STEPS = 5
DEFAULT_SAMPLER = "euler_ancestral"
MAX_TIMEOUT = 86_400
MAX_JOBS = 256


@dataclass(frozen=True)
class Defaults:
    """What a model's configuration decides for requests that leave it open.

    Attributes:
        resolution: one of `RESOLUTIONS`.
        timeout: seconds.
        max_jobs: requests that are answered at a time; further ones are refused.
    """

    resolution: int = 512
    timeout: int = 600
    max_jobs: int = 16

    @classmethod
    def from_config(cls, config: Mapping[str, Any]) -> "Defaults":
        """Reads the parameters ``default_resolution``, ``default_timeout_seconds`` and ``max_jobs``.

        Raises:
            InvalidParameter: one of them has a value that cannot be used.
        """
        pipeline = Pipeline.of(config)
        if pipeline is None:
            raise InvalidParameter("task", "is missing", "the pipeline's task")
        return cls(
            int(pipeline.settings["RESOLUTION"].default or cls.resolution),
            int(pipeline.deadline),
            whole_parameter(config, "max_jobs", cls.max_jobs, 1, MAX_JOBS),
        )


@dataclass(frozen=True)
class DiffusionRequest:
    """One request, complete and within its ranges.

    Attributes:
        image: encoded composite.
        mask: encoded mask; None where ``text`` is given.
        text: referring expression, UTF-8; None where ``mask`` is given.
        seed: 0 to `MAX_SEED`.
        steps: 1 to `MAX_STEPS`.
        sampler: one of `SAMPLERS`.
        resolution: side of the square that the networks work on, in pixels, one of `RESOLUTIONS`.
        preview: whether every step is to be shown.
        decoder: one of `DECODERS`.
        refine: whether the result goes through the refinement network.
        timeout: seconds the request may take, from its arrival.
    """

    image: bytes
    mask: bytes | None
    text: bytes | None
    seed: int
    steps: int
    sampler: str
    resolution: int
    preview: bool
    decoder: str
    refine: bool
    timeout: float

    @classmethod
    def from_inputs(cls, inputs: Mapping[str, Any], defaults: Defaults) -> "DiffusionRequest":
        """Reads a request's inputs by tensor name: ``bytes`` for a STRING, a Python number or bool for the others.

        Raises:
            InvalidImage: there is no IMAGE.
            InvalidSetting: names the input, its value and what is allowed.
        """
        if "IMAGE" not in inputs:
            raise InvalidImage("IMAGE", "missing", "an image file")
        mask, text = inputs.get("MASK"), inputs.get("TEXT")
        if (mask is None) == (text is None):
            found = "neither MASK nor TEXT is given" if mask is None else "both MASK and TEXT are given"
            raise InvalidSetting("MASK", found, "exactly one of MASK and TEXT")
        return cls(
            image=inputs["IMAGE"],
            mask=mask,
            text=text,
            seed=_whole("SEED", inputs.get("SEED", secrets.randbelow(MAX_SEED + 1)), 0, MAX_SEED),
            steps=_whole("STEPS", inputs.get("STEPS", DEFAULT_STEPS), 1, MAX_STEPS),
            sampler=_chosen("SAMPLER", _word(inputs.get("SAMPLER", DEFAULT_SAMPLER)), tuple(SAMPLERS)),
            resolution=_chosen("RESOLUTION", inputs.get("RESOLUTION", defaults.resolution), RESOLUTIONS),
            preview=inputs.get("PREVIEW", False),
            decoder=_chosen("DECODER", _word(inputs.get("DECODER", DECODERS[0])), DECODERS),
            refine=inputs.get("REFINE", False),
            timeout=_seconds(inputs.get("TIMEOUT", defaults.timeout)),
        )


def _whole(name: str, value: int, lowest: int, highest: int) -> int:
    if not lowest <= value <= highest:
        raise InvalidSetting(name, f"is {value}", f"a whole number from {lowest} to {highest}")
    return value


def _seconds(value: float) -> float:
    if not (math.isfinite(value) and 0 < value <= MAX_TIMEOUT):
        raise InvalidSetting("TIMEOUT", f"is {value:g}", f"seconds, more than 0 and at most {MAX_TIMEOUT}")
    return value


def _word(value: bytes | str) -> str:
    return value if isinstance(value, str) else value.decode("utf-8", "replace")


def _chosen(name: str, value: _Choice, choices: tuple[_Choice, ...]) -> _Choice:
    if value not in choices:
        raise InvalidSetting(name, f"is {str(value)[:40]!r}", ", ".join(map(str, choices)))
    return value
