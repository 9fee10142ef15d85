"""A result as it is kept: what was asked, what was answered, and their pictures as parts of it."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from pydantic import BaseModel, Field

from concord.limits import Limits
from concord_client.catalogue import SEED
from concord_client.tasks.fields import read_encoded
from concord_client.tasks.request import Answer, Request
from facade.problems import Problem
from facade.work.copies import copy_of
from facade.work.requests import Task, made

BEFORE, AFTER, MASK = "before", "after", "mask"
BEFORE_SMALL, AFTER_SMALL = "before-small", "after-small"
"""JPEGs for a page, of at most `SMALL_SIDE` pixels; parts besides are more candidates, ``after-2`` and so on."""
SMALL_SIDE = 960
_PARTS = {"image": BEFORE, "mask": MASK}
"""Of the images of a request by their fields."""
_MOST_TOLD = 60_000
"""Bytes: what MySQL's smallest text takes."""


class Told(BaseModel):
    """What is kept as JSON besides the columns of the table."""

    fields: dict[str, Any] = Field(description="of the request, its images apart")
    images: dict[str, str] = Field(description="the parts that are the request's images, by their fields")
    settings: dict[str, str] = Field(description="of the model, as they were written")
    values: dict[str, Any] = Field(description="of the answer, its images apart")
    parts: list[str] = Field(description="names of its pictures")


@dataclass(frozen=True)
class Result:
    """One result; `pictures` are encoded, by the names of their parts."""

    task: str
    model: str
    seed: int | None
    words: str
    told: Told
    pictures: Mapping[str, bytes]


def result_of(request: Request[Any], answer: Answer, model: str, settings: Mapping[str, str], limits: Limits) -> Result:
    """What is kept of a request and its answer; decodes their pictures to make small ones.

    Raises:
        ConcordError: the request's picture cannot be read, see `concord.images.decode_image`.
        Problem: there is more to say of it than can be kept.
    """
    given = {field.name: getattr(request, field.name) for field in request.given()}
    images = {field.name: _PARTS[field.name] for field in request.given() if field.kind == "image"}
    pictures = {part: read_encoded(given[name]) for name, part in images.items()}
    for field in (each for each in answer.fields() if each.holds_images):
        value = getattr(answer, field.name)
        if field.name == MASK and AFTER in pictures:
            if value is not None:
                pictures[MASK] = value
            continue
        for picture in value if isinstance(value, tuple) else filter(None, (value,)):
            number = 1 + sum(part.startswith(AFTER) for part in pictures)
            pictures[AFTER if number == 1 else f"{AFTER}-{number}"] = picture
    for part, small in ((BEFORE, BEFORE_SMALL), (AFTER, AFTER_SMALL)):
        if part in pictures:
            pictures[small] = copy_of(pictures[part], limits, SMALL_SIDE).jpeg
    told = Told(
        fields={name: value for name, value in given.items() if name not in images},
        images=images,
        settings=dict(settings),
        values={each.name: getattr(answer, each.name) for each in answer.fields() if not each.holds_images},
        parts=list(pictures),
    )
    if len(told.model_dump_json().encode()) > _MOST_TOLD:
        problem = "the request has too many values to be kept"
        raise Problem("request_too_large", problem, field="keep", allowed=f"{_MOST_TOLD} bytes of them as JSON")
    words = str(given.get("text", ""))
    return Result(request.TASK, model, getattr(answer, "seed", None), words, told, pictures)


def repeated(task: Task, told: Told, pictures: Mapping[str, bytes]) -> Request[Any]:
    """The request of a result once more; `pictures` are its parts."""
    return made(task, told.fields | {name: pictures[part] for name, part in told.images.items()})


def repeated_settings(told: Told, seed: int | None) -> dict[str, str]:
    """The settings that give the same answer again."""
    return told.settings if seed is None else told.settings | {SEED.lower(): str(seed)}
