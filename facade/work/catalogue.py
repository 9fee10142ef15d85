"""The public models: which of them a Triton has loaded, what they take and within which limits."""

from collections.abc import Collection
from typing import Literal, TypeAlias

from concord_client.pipelines import HARMONIZE, SEGMENT, SEGMENT_HARMONIZE
from pydantic import BaseModel, Field

from concord.loops.request import DECODERS, DEFAULT_SAMPLER, DEFAULT_STEPS, RESOLUTIONS
from concord.noise import MAX_SEED
from concord.samplers import MAX_STEPS, SAMPLERS
from concord.tokenizer import MAX_BYTES
from concord_client.diffusion import DIFFHARMONY
from facade.settings import Settings

DHT = "dht"
_HARMONY_DECODER = "harmony_vae"
_REFINEMENT = "refinement"

Value: TypeAlias = int | float | str | bool


class ModelInput(BaseModel):
    """Something a model is given."""

    name: str = Field(description="the form field", examples=["image"])
    type: Literal["image", "text"]
    required: bool
    description: str


class ModelSetting(BaseModel):
    """How a model can be told to work."""

    name: str = Field(description="the form field", examples=["steps"])
    type: Literal["integer", "string", "boolean"]
    default: Value | None = Field(default=None, description="null where the server draws or decides")
    minimum: int | None = Field(default=None)
    maximum: int | None = Field(default=None)
    choices: list[Value] | None = Field(default=None, description="the values there are, where they are few")


class ModelLimits(BaseModel):
    """What a request to a model may be."""

    max_bytes: int = Field(description="of an encoded image")
    max_pixels: int = Field(description="width x height")
    max_text_bytes: int = Field(description="of a text, as UTF-8")
    deadline: float = Field(description="seconds a request may take, waiting included")
    concurrency: int = Field(description="requests that are answered at a time")
    queue: int = Field(description="requests that may wait for that")


class PublicModel(BaseModel):
    """A model that can be asked by its name."""

    name: str = Field(examples=[DHT])
    task: Literal["harmonize", "segment"]
    description: str
    inputs: list[ModelInput]
    settings: list[ModelSetting]
    limits: ModelLimits

    def takes(self, name: str) -> bool:
        """Whether it has an input of this name."""
        return any(each.name == name for each in self.inputs)


def public_models(ready: Collection[str], settings: Settings) -> list[PublicModel]:
    """What can be asked of a Triton.

    Args:
        ready: the names of its models and pipelines that answer.
        settings: the facade's limits.
    """
    found = []
    if HARMONIZE in ready or SEGMENT_HARMONIZE in ready:
        inputs = _inputs(text=SEGMENT_HARMONIZE in ready, mask=HARMONIZE in ready)
        found.append(_model(DHT, "harmonize", "a transformer that answers in one pass", inputs, [], settings))
    if DIFFHARMONY in ready:
        inputs = _inputs(text=SEGMENT in ready, mask=True)
        found.append(
            _model(
                DIFFHARMONY,
                "harmonize",
                "a diffusion model, step by step",
                inputs,
                _diffusion_settings(ready),
                settings,
            )
        )
    if SEGMENT in ready:
        found.append(_model(SEGMENT, "segment", "finds what a text names", _inputs(True, False), [], settings))
    return found


def _model(
    name: str,
    task: Literal["harmonize", "segment"],
    description: str,
    inputs: list[ModelInput],
    model_settings: list[ModelSetting],
    settings: Settings,
) -> PublicModel:
    limits = ModelLimits(
        max_bytes=settings.max_bytes,
        max_pixels=settings.max_pixels,
        max_text_bytes=MAX_BYTES,
        deadline=settings.diffusion_deadline if name == DIFFHARMONY else settings.deadline,
        concurrency=settings.concurrency[name],
        queue=settings.queue,
    )
    return PublicModel(
        name=name, task=task, description=description, inputs=inputs, settings=model_settings, limits=limits
    )


def _inputs(text: bool, mask: bool) -> list[ModelInput]:
    one_of = " (exactly one of text and mask)" if text and mask else ""
    inputs = [ModelInput(name="image", type="image", required=True, description="the composite, encoded")]
    if text:
        words = f"a referring expression that names the part{one_of}"
        inputs.append(ModelInput(name="text", type="text", required=not mask, description=words))
    if mask:
        words = f"an image of the same size, white where the part is{one_of}"
        inputs.append(ModelInput(name="mask", type="image", required=not text, description=words))
    return inputs


def _diffusion_settings(ready: Collection[str]) -> list[ModelSetting]:
    decoders = [decoder for decoder in DECODERS if decoder == DECODERS[0] or _HARMONY_DECODER in ready]
    refine = [False, True] if _REFINEMENT in ready else [False]
    return [
        ModelSetting(name="seed", type="integer", minimum=0, maximum=MAX_SEED),
        ModelSetting(name="steps", type="integer", default=DEFAULT_STEPS, minimum=1, maximum=MAX_STEPS),
        ModelSetting(name="sampler", type="string", default=DEFAULT_SAMPLER, choices=list(SAMPLERS)),
        ModelSetting(name="resolution", type="integer", choices=list(RESOLUTIONS)),
        ModelSetting(name="decoder", type="string", default=DECODERS[0], choices=list(decoders)),
        ModelSetting(name="refine", type="boolean", default=False, choices=list(refine)),
        ModelSetting(name="preview", type="boolean", default=False, choices=[False, True]),
    ]
