"""The shapes of OpenAI's image edits: masks the other way round, answers, events and errors. Pure."""

import io
import time
from base64 import b64encode
from dataclasses import asdict, dataclass
from typing import Any, Literal, TypeAlias

import numpy as np
from PIL import Image
from pydantic import BaseModel, Field

from concord.errors import InvalidMask
from concord.images import open_image
from concord.limits import Limits
from concord.masks import THRESHOLD, encode_mask
from facade.problems import Problem, ProblemDetails
from facade.work.pictures import Format

Background = Literal["auto", "opaque"]
Quality = Literal["low", "medium", "high", "xhigh", "max", "auto"]
MAX_PARTIAL_IMAGES = 3

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

    output_format: Format
    background: Background
    quality: Quality


class EditedImage(BaseModel):
    """One picture of an answer."""

    b64_json: str = Field(description="the encoded picture in base64")
    seed: int | None = Field(None, description="gives this picture again; not OpenAI's")


class ImagesResponse(BaseModel):
    """OpenAI's answer to an edit."""

    created: int = Field(description="Unix time")
    data: list[EditedImage]
    output_format: Format
    size: str = Field(description="WIDTHxHEIGHT", examples=["1536x864"])


class _EditEvent(BaseModel):
    b64_json: str
    created_at: int
    size: str
    output_format: Format
    background: Background
    quality: Quality


class PartialImageEvent(_EditEvent):
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


class CompletedEvent(_EditEvent):
    """``image_edit.completed``."""

    type: Literal["image_edit.completed"] = "image_edit.completed"
    usage: Usage = Usage()
    seed: int | None


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


def recoded(preview: bytes, output_format: Format) -> bytes:
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


def partial_event(picture: bytes, index: int, shape: Shape) -> PartialImageEvent:
    """The event of the partial image of this number, from 0."""
    return PartialImageEvent(partial_image_index=index, **_of(picture, shape))


def completed_event(picture: bytes, seed: int | None, shape: Shape) -> CompletedEvent:
    """The event of the picture itself."""
    return CompletedEvent(seed=seed, **_of(picture, shape))


def openai_problem(problem: Problem, request_id: str | None) -> OpenAIProblem:
    """A problem as OpenAI's clients read it."""
    error = OpenAIError(
        message=str(problem).partition("] ")[2],
        type=_ERROR_TYPES.get(problem.status, "server_error" if problem.status >= 500 else "invalid_request_error"),
        param=problem.field,
        code=problem.code,
    )
    return OpenAIProblem(error=error, **problem.details(request_id).model_dump())


def _of(picture: bytes, shape: Shape) -> dict[str, Any]:
    encoded = b64encode(picture).decode()
    return {"b64_json": encoded, "created_at": int(time.time()), "size": size_of(picture)} | asdict(shape)
