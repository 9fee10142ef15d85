"""The shapes of OpenAI's routes: parameters, masks the other way round, answers, events and errors. Pure."""

import io
import time
from dataclasses import asdict, dataclass
from typing import Any, Literal, TypeAlias, get_args

import numpy as np
from PIL import Image
from pydantic import BaseModel, ConfigDict, Field

from concord.errors import InvalidMask
from concord.images import FORMATS_IN_WORDS, open_image
from concord.limits import Limits
from concord.masks import THRESHOLD, encode_mask
from facade.problems import Problem, ProblemDetails
from facade.wire.forms import ModelForm
from facade.wire.pieces import Base64
from facade.work.pictures import check_format

Background = Literal["auto", "opaque"]
OutputFormat = Literal["png", "jpeg", "webp"]
Quality = Literal["low", "medium", "high", "xhigh", "max", "auto"]
MAX_PARTIAL_IMAGES = 3
MAX_IMAGES = 4
_AUTO: Literal["auto"] = "auto"
_IGNORED = "accepted, and of no effect"

ErrorType: TypeAlias = Literal["invalid_request_error", "authentication_error", "rate_limit_error", "server_error"]
_ERROR_TYPES: dict[int, ErrorType] = {401: "authentication_error", 429: "rate_limit_error"}


class OpenAIError(BaseModel):
    """The member ``error`` of a body."""

    message: str
    type: ErrorType
    param: str | None = Field(default=None, description="the form field it is about")
    code: str = Field(description="the last part of the problem's type", examples=["invalid_setting"])


class OpenAIProblem(ProblemDetails):
    """The body of a refusal or failure of OpenAI's route: their error beside the fields of a problem."""

    error: OpenAIError


@dataclass(frozen=True)
class Shape:
    """What every event of a request repeats of it."""

    output_format: OutputFormat
    background: Background
    quality: Quality


class PicturesForm(ModelForm):
    """What both of OpenAI's routes take; their client sends the settings of a model as ``extra_body``."""

    model_config = ConfigDict(populate_by_name=True)

    n: int = Field(1, ge=1, le=MAX_IMAGES, description="pictures; several only of a model with a seed, seed after seed")
    output_format: OutputFormat = Field("png", description="png keeps every pixel as it is; jpeg and webp lose detail")
    output_compression: int = Field(100, ge=0, le=100, description="quality of jpeg and webp; png takes 100 only")
    response_format: Literal["b64_json"] = Field(
        "b64_json",
        description="b64_json; nothing is kept that a url could name",
        json_schema_extra={"enum": ["b64_json"]},
    )
    partial_images: int = Field(
        0, ge=0, le=MAX_PARTIAL_IMAGES, description="with stream: small pictures of a model on its way, if it shows any"
    )
    background: Background = Field(_AUTO, description="the model's own; transparent is refused")
    quality: Quality | Literal["standard"] = Field(
        _AUTO, description=_IGNORED, json_schema_extra={"enum": [*get_args(Quality), "standard"]}
    )
    moderation: Literal["low", "auto"] | None = Field(None, description=_IGNORED)
    complexity: Literal["low", "medium", "high"] | None = Field(None, description=_IGNORED)
    user: str | None = Field(None, description=_IGNORED)
    safety_identifier: str | None = Field(None, description=_IGNORED)

    def check_compression(self) -> None:
        """Raises a `Problem` where the compression does not go with the format."""
        if self.output_format == "png" and self.output_compression != 100:
            raise Problem(
                "invalid_setting", "png loses nothing", field="output_compression", allowed="100; or jpeg, webp"
            )

    @property
    def shape(self) -> Shape:
        return Shape(self.output_format, self.background, _AUTO if self.quality == "standard" else self.quality)


class EditForm(PicturesForm):
    """OpenAI's parameters of an edit."""

    image: bytes | None = Field(None, description=f"the composite: {FORMATS_IN_WORDS}")
    images: list[bytes] = Field([], alias="image[]", description="the same from clients that send a list; one image")
    prompt: str | None = Field(
        None,
        description="a referring expression that names the part to be harmonized; of the task edit, what it is to show",
        examples=["the red ball"],
    )
    mask: bytes | None = Field(
        None, description="or an image of the same size with alpha, transparent where that part is; goes before prompt"
    )
    size: str = Field(_AUTO, description="auto, or the image's own size: the answer always has that", examples=[_AUTO])
    input_fidelity: Literal["low", "high"] | None = Field(None, description=_IGNORED)

    @property
    def photograph(self) -> bytes:
        """The one image; raises a `Problem` where there is none, or several."""
        given = ([] if self.image is None else [self.image]) + self.images
        if not given:
            raise Problem("missing_field", "image is missing", field="image", allowed="an image file")
        if len(given) > 1:
            raise Problem("duplicate_field", f"{len(given)} images are given", field="image", allowed="one image")
        return given[0]

    def check_size(self, size: tuple[int, int]) -> None:
        """Raises a `Problem` where the size, format or compression does not go with the image's width and height."""
        check_format(size, self.output_format)
        own = f"{size[0]}x{size[1]}"
        if self.size not in (_AUTO, own):
            raise Problem("invalid_setting", f"{self.size[:40]!r} is not allowed", field="size", allowed=f"auto, {own}")
        self.check_compression()


class GenerationForm(PicturesForm):
    """OpenAI's parameters of a generation."""

    prompt: str = Field(description="what the picture is to show", examples=["a red bird on a branch"])
    size: str = Field(
        _AUTO,
        description="auto, or WIDTHxHEIGHT of a square: the setting resolution of models that have it",
        examples=[_AUTO, "256x256"],
    )
    style: Literal["vivid", "natural"] | None = Field(None, description=_IGNORED)

    @property
    def side(self) -> int | None:
        """Pixels of the square that is asked for; None for the model's own. Raises a `Problem` where it is none."""
        width, _, height = self.size.partition("x")
        if self.size == _AUTO:
            return None
        if width != height or not width.isascii() or not width.isdecimal() or len(width) > 5:
            problem = f"{self.size[:40]!r} is not allowed"
            raise Problem("invalid_setting", problem, field="size", allowed="auto, or a square such as 256x256")
        return int(width)


class MadeImage(BaseModel):
    """One picture of an answer."""

    b64_json: Base64 = Field(description="the encoded picture in base64")
    seed: int | None = Field(None, description="gives this picture again; not OpenAI's")


class ImagesResponse(BaseModel):
    """OpenAI's answer."""

    created: int = Field(description="Unix time")
    data: list[MadeImage]
    output_format: OutputFormat
    size: str = Field(description="WIDTHxHEIGHT", examples=["1536x864"])


class _PictureEvent(BaseModel):
    b64_json: Base64
    created_at: int
    size: str
    output_format: OutputFormat
    background: Background
    quality: Quality


class PartialImageEvent(_PictureEvent):
    """``image_edit.partial_image``."""

    type: Literal["image_edit.partial_image"] = "image_edit.partial_image"
    partial_image_index: int


class TokenDetails(BaseModel):
    """Nothing is counted in tokens; OpenAI's types want the numbers."""

    image_tokens: int = 0
    text_tokens: int = 0


class Usage(BaseModel):
    """As `TokenDetails`."""

    input_tokens: int = 0
    output_tokens: int = 0
    total_tokens: int = 0
    input_tokens_details: TokenDetails = TokenDetails()


class CompletedEvent(_PictureEvent):
    """``image_edit.completed``."""

    type: Literal["image_edit.completed"] = "image_edit.completed"
    usage: Usage = Usage()
    seed: int | None


class GenerationPartialImageEvent(_PictureEvent):
    """``image_generation.partial_image``."""

    type: Literal["image_generation.partial_image"] = "image_generation.partial_image"
    partial_image_index: int


class GenerationCompletedEvent(_PictureEvent):
    """``image_generation.completed``."""

    type: Literal["image_generation.completed"] = "image_generation.completed"
    usage: Usage = Usage()
    seed: int | None


Partial: TypeAlias = PartialImageEvent | GenerationPartialImageEvent
Completed: TypeAlias = CompletedEvent | GenerationCompletedEvent


def foreground_of(mask: bytes, limits: Limits) -> bytes:
    """Concord's mask for OpenAI's: white where that is transparent, which is where the picture is to change.

    Half transparent pixels belong to the side they are nearer to.

    Raises:
        InvalidMask: it has no transparency, or no pixel that is transparent.
        InvalidImage, UnsupportedImage, ImageTooLarge: as `concord.images.open_image`, with the field ``MASK``.
    """
    image = open_image(mask, limits, "MASK")
    wanted = "an image with alpha, transparent where the photograph is to change"
    if not image.has_transparency_data:
        raise InvalidMask("MASK", "it has no transparency", wanted)
    opacity = np.asarray(image.convert("RGBA").getchannel("A"))
    foreground = (opacity < THRESHOLD).astype(np.uint8) * np.uint8(255)
    if not foreground.any():
        raise InvalidMask("MASK", "none of it is transparent", wanted)
    return encode_mask(foreground)


def shown_steps(total: int, partial_images: int) -> set[int]:
    """The steps, of 1 to `total`, after which a partial image is sent: evenly spread, fewer where there are fewer."""
    return {max(1, total * number // (partial_images + 1)) for number in range(1, partial_images + 1)}


def recoded(preview: bytes, output_format: OutputFormat) -> bytes:
    """A preview, a small JPEG, in the format that was asked for."""
    if output_format == "jpeg":
        return preview
    stream = io.BytesIO()
    Image.open(io.BytesIO(preview), formats=["JPEG"]).save(stream, output_format)
    return stream.getvalue()


def size_of(picture: bytes) -> str:
    """``WIDTHxHEIGHT`` of an encoded picture of our own."""
    width, height = Image.open(io.BytesIO(picture)).size
    return f"{width}x{height}"


def partial_event(picture: bytes, index: int, shape: Shape, event: type[Partial] = PartialImageEvent) -> Partial:
    """The event of the partial image of this number, from 0."""
    return event(partial_image_index=index, **_of(picture, shape))


def completed_event(
    picture: bytes, seed: int | None, shape: Shape, event: type[Completed] = CompletedEvent
) -> Completed:
    return event(seed=seed, **_of(picture, shape))


def openai_problem(problem: Problem, request_id: str | None) -> OpenAIProblem:
    error = OpenAIError(
        message=str(problem).partition("] ")[2],
        type=_ERROR_TYPES.get(problem.status, "server_error" if problem.status >= 500 else "invalid_request_error"),
        param="prompt" if problem.field == "text" else problem.field,
        code=problem.code,
    )
    return OpenAIProblem(error=error, **problem.details(request_id).model_dump())


def _of(picture: bytes, shape: Shape) -> dict[str, Any]:
    return {"b64_json": picture, "created_at": int(time.time()), "size": size_of(picture)} | asdict(shape)
