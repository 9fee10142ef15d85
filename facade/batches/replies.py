"""What became of a batch, as HTTP: a zip file that grows while it is sent, or events."""

import asyncio
from base64 import b64encode
from collections.abc import AsyncGenerator, AsyncIterator
from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from concord_client.tasks.harmonize import Harmonized
from facade.batches.archive import SafeNames, ZipStream
from facade.batches.batch import Batch, Began, Event, Outcome, Step
from facade.problems import ProblemDetails
from facade.wire.events import Emit
from facade.wire.replies import value_schemas, values_of
from facade.work.pictures import Format

RESULTS = "results.json"
_SUFFIXES: dict[Format, str] = {"png": ".png", "jpeg": ".jpg", "webp": ".webp"}


def _with_answer(schema: dict[str, Any]) -> None:
    schema["properties"] |= value_schemas(Harmonized)


class ImageResult(BaseModel):
    """What became of one photograph; the fields of its answer are among its own."""

    model_config = ConfigDict(extra="allow", json_schema_extra=_with_answer)

    index: int = Field(description="its place in the batch, from 0")
    image: str = Field(description="its name as it was sent", examples=["holiday/beach.jpg"])
    ok: bool
    file: str | None = Field(default=None, description="name of the harmonized picture", examples=["holiday/beach.png"])
    seconds: dict[str, float] | None = Field(
        default=None, description="by stage", examples=[{"queued": 0.0, "inference": 0.2}]
    )
    problem: ProblemDetails | None = Field(default=None, description="why there is no picture")


class BatchResults(BaseModel):
    """``results.json``, and the event ``result``."""

    job: str
    model: str
    ok: int = Field(description="how many pictures there are")
    failed: int
    images: list[ImageResult] = Field(description="in the order in which they were sent")


class StartedEvent(BaseModel):
    """``started``, the first event."""

    job: str = Field(description="the id under which the batch can be cancelled")
    images: list[str] = Field(description="their names")


class BatchStepEvent(BaseModel):
    """``step``: how far a photograph is."""

    index: int
    step: int = Field(description="steps done")
    total: int = Field(description="steps in all")


class ImageEvent(ImageResult):
    """``image``: a photograph is done."""

    done: int = Field(description="photographs that are done")
    total: int
    picture: str | None = Field(default=None, description="the harmonized picture in base64")
    format: Format | None = None


class BatchReply:
    """Turns the events of a batch into an answer."""

    def __init__(self, batch: Batch, job: str, request_id: str | None) -> None:
        self._batch = batch
        self._job = job
        self._request_id = request_id
        self._names = SafeNames()
        self._results: dict[int, ImageResult] = {}

    async def zipped(self, events: AsyncIterator[Event]) -> AsyncGenerator[bytes]:
        """The bytes of a zip file: each picture when it is there, and `RESULTS` at the end."""
        archive = ZipStream()
        async for event in events:
            if isinstance(event, Outcome):
                result = self._note(event)
                if result.file is not None:
                    yield await asyncio.to_thread(archive.add, result.file, event.picture)
        results = self._summary().model_dump_json(exclude_none=True, indent=1)
        yield archive.add(RESULTS, results.encode()) + archive.close()

    async def told(self, events: AsyncIterator[Event], emit: Emit) -> None:
        """Emits the events as they come, `BatchResults` at the end; waits while the client does not take them."""
        async for event in events:
            match event:
                case Began():
                    names = [photograph.name for photograph in self._batch.photographs]
                    emit("started", StartedEvent(job=self._job, images=names))
                case Step(index, step, total):
                    emit("step", BatchStepEvent(index=index, step=step, total=total))
                case Outcome():
                    emit("image", self._image_event(event))
                    await emit.taken()
        emit("result", self._summary())

    def _image_event(self, outcome: Outcome) -> ImageEvent:
        result = self._note(outcome)
        told = result.model_dump() | {"done": len(self._results), "total": len(self._batch.photographs)}
        if result.ok:
            told |= {"picture": b64encode(outcome.picture), "format": self._batch.picture_format}
        return ImageEvent.model_validate(told)

    def _note(self, outcome: Outcome) -> ImageResult:
        name = self._batch.photographs[outcome.index].name
        if outcome.finished is None:
            assert outcome.problem is not None
            problem = outcome.problem.details(self._request_id)
            result = ImageResult(index=outcome.index, image=name, ok=False, problem=problem)
        else:
            result = ImageResult(
                index=outcome.index,
                image=name,
                ok=True,
                file=self._names.of(name, _SUFFIXES[self._batch.picture_format]),
                seconds={stage: round(each, 6) for stage, each in outcome.finished.seconds.items()},
                **values_of(outcome.finished.answer),
            )
        self._results[outcome.index] = result
        return result

    def _summary(self) -> BatchResults:
        images = [self._results[index] for index in sorted(self._results)]
        done = sum(result.ok for result in images)
        return BatchResults(job=self._job, model=self._batch.model, ok=done, failed=len(images) - done, images=images)
