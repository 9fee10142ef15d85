"""Answers as HTTP: the picture itself with the rest in headers, or everything as JSON."""

import asyncio
import base64

from pydantic import BaseModel, Field
from starlette.responses import Response

from concord_client import Harmonized, Segmented
from facade.work.pictures import MEDIA_TYPES, Format, reencode

JOB = "X-Concord-Job"


class HarmonizedAnswer(BaseModel):
    """A harmonized photograph."""

    image: str = Field(description="the encoded picture, in base64")
    format: Format
    mask: str | None = Field(description="what was found for the text: a PNG, white where it is, in base64")
    score: float | None = Field(description="mean probability of that mask's pixels; 0 where nothing was found")
    truncated: bool = Field(description="whether the text was too long and only its beginning was used")
    seed: int | None = Field(description="with which a diffusion model gives this picture again")
    model: str = Field(examples=["dht"])
    job: str = Field(description="the id under which it could be cancelled")
    seconds: dict[str, float] = Field(
        description="by stage", examples=[{"queued": 0.0, "inference": 0.2, "encode": 0.0}]
    )


class SegmentedAnswer(BaseModel):
    """The part of a photograph that a text names."""

    mask: str = Field(description="PNG of the photograph's size, white where the part is, in base64")
    score: float = Field(description="mean probability of the mask's pixels; 0 where nothing was found")
    truncated: bool = Field(description="whether the text was too long and only its beginning was used")
    model: str = Field(examples=["segment"])
    job: str = Field(description="the id under which it could be cancelled")
    seconds: dict[str, float] = Field(description="by stage", examples=[{"total": 0.2}])


async def encoded_picture(answer: Harmonized, picture_format: Format, quality: int) -> bytes:
    """The picture in the format that was asked for; PNG as Triton gave it."""
    if picture_format == "png":
        return answer.image
    return await asyncio.to_thread(reencode, answer.image, picture_format, quality)


def picture_response(
    picture: bytes, picture_format: Format, answer: Harmonized, model: str, job: str, seconds: dict[str, float]
) -> Response:
    """The picture, with what else is known of it in headers."""
    headers = _headers(model, job, seconds)
    if answer.seed is not None:
        headers["X-Concord-Seed"] = str(answer.seed)
    if answer.score is not None:
        headers["X-Concord-Score"] = f"{answer.score:.6g}"
        headers["X-Concord-Truncated"] = str(answer.truncated).lower()
    return Response(picture, headers=headers, media_type=MEDIA_TYPES[picture_format])


def harmonized_answer(
    picture: bytes, picture_format: Format, answer: Harmonized, model: str, job: str, seconds: dict[str, float]
) -> HarmonizedAnswer:
    """The picture and what is known of it, for JSON."""
    return HarmonizedAnswer(
        image=base64.b64encode(picture).decode(),
        format=picture_format,
        mask=None if answer.mask is None else base64.b64encode(answer.mask).decode(),
        score=answer.score,
        truncated=answer.truncated,
        seed=answer.seed,
        model=model,
        job=job,
        seconds={stage: round(each, 6) for stage, each in seconds.items()},
    )


def mask_response(answer: Segmented, model: str, job: str, seconds: dict[str, float]) -> Response:
    """A mask, with its score in headers."""
    headers = _headers(model, job, seconds)
    headers["X-Concord-Score"] = f"{answer.score:.6g}"
    headers["X-Concord-Truncated"] = str(answer.truncated).lower()
    return Response(answer.mask, headers=headers, media_type="image/png")


def segmented_answer(answer: Segmented, model: str, job: str, seconds: dict[str, float]) -> SegmentedAnswer:
    """A mask and its score, for JSON."""
    return SegmentedAnswer(
        mask=base64.b64encode(answer.mask).decode(),
        score=answer.score,
        truncated=answer.truncated,
        model=model,
        job=job,
        seconds={stage: round(each, 6) for stage, each in seconds.items()},
    )


def json_response(answer: BaseModel, job: str) -> Response:
    """An answer as JSON."""
    return Response(answer.model_dump_json(), headers={JOB: job}, media_type="application/json")


def wants_json(accept: str) -> bool:
    """Whether a request's ``Accept`` asks for JSON, and not for a picture before it."""
    ranges = [each.partition(";")[0].strip().lower() for each in accept.split(",")]
    first = next((each for each in ranges if each == "application/json" or each.startswith("image/")), "")
    return first == "application/json"


def _headers(model: str, job: str, seconds: dict[str, float]) -> dict[str, str]:
    timings = ", ".join(f"{stage};dur={each * 1000:.2f}" for stage, each in seconds.items())
    return {"X-Concord-Model": model, JOB: job, "Server-Timing": timings}
