"""Answers as HTTP, made from the fields of a task's answer: its picture with the rest in headers, or all as JSON."""

import time
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass, replace
from typing import Any, cast

from pydantic import BaseModel, Field, TypeAdapter, create_model
from starlette.responses import Response

from concord_client.tasks.fields import Kind, TensorField
from concord_client.tasks.request import Answer
from facade.access.caller import Caller
from facade.wire.pieces import Base64, Pieces, PiecewiseResponse, sliced
from facade.work.pictures import MEDIA_TYPES, Encoder, Format, Original

JOB = "X-Concord-Job"
MODEL = "X-Concord-Model"
KEPT = "X-Concord-Kept"
"""Id of a result that is kept, see `/v1/history`."""
PHOTOGRAPH = "image"
"""The field of an answer that is a photograph, and may be written in other formats than PNG; masks are not."""

PYTHON: dict[Kind, Any] = {
    "image": bytes,
    "text": str,
    "boolean": bool,
    "integer": int,
    "number": float,
    "numbers": list[float],
    "images": list[bytes],
}
"""The types of fields by their kinds; an image is text in JSON."""
_IN_HEADERS: frozenset[Kind] = frozenset({"boolean", "integer", "number", "numbers"})


@dataclass(frozen=True)
class Reply:
    """The answer to one request, ready to be sent.

    Attributes:
        answer: its first image is encoded as it was asked for.
        job: the id under which the request could be cancelled.
        seconds: by stage.
        kept: id of the result; empty where it is not kept.
    """

    answer: Answer
    picture_format: Format
    model: str
    job: str
    seconds: dict[str, float]
    kept: str = ""

    @property
    def picture(self) -> bytes | None:
        """The body; None for an answer without images."""
        field = picture_of(type(self.answer))
        return None if field is None else next(iter(_pictures(self.answer, field)), None)

    @property
    def size(self) -> int:
        """What it takes in memory, in bytes."""
        return sum(len(picture) for each in self.answer.fields() for picture in _pictures(self.answer, each))

    def told(self) -> BaseModel:
        """Everything, for JSON and events."""
        answer = type(self.answer)
        values = {each.name: getattr(self.answer, each.name) for each in answer.fields()}
        seconds = {stage: round(each, 6) for stage, each in self.seconds.items()}
        return answer_model(answer).model_validate(
            values | {"format": self.picture_format, "model": self.model, "job": self.job, "seconds": seconds}
        )

    def response(self, accept: str, kept: ExitStack) -> Response:
        """The picture, or JSON for those who ask for it in their header ``Accept``; closes what is kept when it is
        sent.
        """
        picture = self.picture
        if picture is None or wants_json(accept):
            return json_response(self.told(), self.job, kept, self._kept_header())
        timings = ", ".join(f"{stage};dur={each * 1000:.2f}" for stage, each in self.seconds.items())
        headers = {MODEL: self.model, JOB: self.job, "Server-Timing": timings, **self._kept_header()}
        for field in self.answer.fields():
            if field.kind in _IN_HEADERS and (value := getattr(self.answer, field.name)) is not None:
                headers[header_of(field)] = _written(value)
        return PiecewiseResponse(sliced(picture), len(picture), kept, headers, MEDIA_TYPES[self.picture_format])

    def _kept_header(self) -> dict[str, str]:
        return {KEPT: self.kept} if self.kept else {}


_MODELS: dict[type[Answer], type[BaseModel]] = {}


def answer_model(answer: type[Answer]) -> type[BaseModel]:
    """A task's answer as JSON: images in base64."""
    if answer in _MODELS:
        return _MODELS[answer]
    fields: dict[str, Any] = {}
    for each in answer.fields():
        kind = {"image": Base64, "images": list[Base64]}.get(each.kind, PYTHON[each.kind])
        words = f"{each.about}; in base64" if each.holds_images else each.about
        fields[each.name] = (kind | None if _is_nullable(each) else kind, Field(description=words))
    if has_photograph(answer):
        fields["format"] = (Format, Field(description=f"of the {PHOTOGRAPH}"))
    timing = Field(description="by stage", examples=[{"queued": 0.0, "inference": 0.2, "encode": 0.0}])
    _MODELS[answer] = create_model(
        f"{answer.__name__}Answer",
        __doc__=(answer.__doc__ or "").partition("\n")[0],
        **fields,
        model=(str, Field(description="what made it")),
        job=(str, Field(description="the id under which it could be cancelled")),
        seconds=(dict[str, float], timing),
    )
    return _MODELS[answer]


def header_schemas(answer: type[Answer]) -> dict[str, Any]:
    """OpenAPI's description of the headers beside a picture."""
    fields = [each for each in answer.fields() if each.kind in _IN_HEADERS]
    return {header_of(each): {"description": each.about, "schema": _json_schema(each)} for each in fields}


def value_schemas(answer: type[Answer]) -> dict[str, Any]:
    """The JSON schemas of everything that is known of an answer, its images apart."""
    schemas = {}
    for each in (field for field in answer.fields() if not field.holds_images):
        schema = _json_schema(each)
        kinds = {"type": [schema["type"], "null"]} if _is_nullable(each) else {}
        schemas[each.name] = {"description": each.about} | schema | kinds
    return schemas


def values_of(answer: Answer) -> dict[str, Any]:
    """Everything that is known of an answer, its images apart."""
    return {each.name: getattr(answer, each.name) for each in answer.fields() if not each.holds_images}


def picture_of(answer: type[Answer]) -> TensorField | None:
    """The field that is the body of an answer: its first image, or the first of several."""
    return next((each for each in answer.fields() if each.holds_images), None)


def has_photograph(answer: type[Answer]) -> bool:
    """Whether the body of an answer can be written in another format than PNG."""
    picture = picture_of(answer)
    return picture is not None and picture.name == PHOTOGRAPH


def header_of(field: TensorField) -> str:
    return f"X-Concord-{field.name.replace('_', '-').title()}"


async def reply_of(
    answer: Answer,
    encoder: Encoder,
    picture_format: Format,
    quality: int,
    model: str,
    caller: Caller,
    seconds: dict[str, float],
    original: Original | None = None,
    kept: str = "",
) -> Reply:
    """Encodes an answer's picture, and notes the seconds that takes; `kept` is as in `Reply`."""
    began, field = time.monotonic(), picture_of(type(answer))
    if field is not None and field.kind == "image":
        picture = await encoder.encoded(getattr(answer, field.name), picture_format, quality, caller.owner, original)
        answer = replace(cast(Any, answer), **{field.name: picture})
    return Reply(answer, picture_format, model, caller.job or "", seconds | {"encode": time.monotonic() - began}, kept)


def json_response(answer: BaseModel, job: str, kept: ExitStack, headers: Mapping[str, str] | None = None) -> Response:
    """JSON, which closes what is kept when it is sent."""
    pieces = Pieces.of(answer)
    return PiecewiseResponse(iter(pieces), len(pieces), kept, {JOB: job, **(headers or {})}, "application/json")


def wants_json(accept: str) -> bool:
    """Whether a request's ``Accept`` asks for JSON, and not for a picture before it."""
    ranges = [each.partition(";")[0].strip().lower() for each in accept.split(",")]
    first = next((each for each in ranges if each == "application/json" or each.startswith("image/")), "")
    return first == "application/json"


def _pictures(answer: Answer, field: TensorField) -> tuple[bytes, ...]:
    """The images that a field of an answer holds."""
    value = getattr(answer, field.name) if field.holds_images else None
    return () if value is None else value if isinstance(value, tuple) else (value,)


def _is_nullable(field: TensorField) -> bool:
    return not field.required and field.default is None


def _json_schema(field: TensorField) -> dict[str, Any]:
    return TypeAdapter(PYTHON[field.kind]).json_schema()


def _written(value: object) -> str:
    match value:
        case bool():
            return str(value).lower()
        case float():
            return f"{value:.6g}"
        case tuple():
            return ",".join(map(_written, value))  # as OpenAPI has it
    return str(value)
