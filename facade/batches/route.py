"""``POST /v1/batches``: many photographs in one request.

The answer is a zip file that grows while it is sent, or events.
"""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from fastapi import APIRouter, Request, Response
from pydantic import BaseModel, ConfigDict, Field

from concord_client.tasks.harmonize import Harmonize, Harmonized
from facade.access.caller import Caller
from facade.access.declared import ENVELOPE_BYTES
from facade.batches.archive import SafeNames, ZipStream
from facade.batches.batch import Batch, Batches, Began, Event, Outcome, Step
from facade.batches.form import BatchForm
from facade.openapi import answering
from facade.problems import ProblemDetails, request_id
from facade.wire.caller import caller_of, while_connected
from facade.wire.events import Emit, OwnedStream, event_stream
from facade.wire.pieces import Base64, in_turns
from facade.wire.replies import JOB, MODEL, value_schemas, values_of
from facade.work.pictures import SUFFIXES, Format, check_output
from facade.work.service import Service

RESULTS = "results.json"


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


class LineProblem(BaseModel):
    """What is wrong with a line of the expressions."""

    line: int = Field(description="its number, from 1")
    problem: str


class BatchResults(BaseModel):
    """``results.json``, and the event ``result``."""

    job: str
    model: str
    ok: int = Field(description="how many pictures there are")
    failed: int
    images: list[ImageResult] = Field(description="in the order in which they were sent")
    lines: list[LineProblem] = Field([], description="lines of the expressions that cannot be used")


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
    picture: Base64 | None = Field(default=None, description="the harmonized picture in base64")
    format: Format | None = None


@dataclass
class BatchReply:
    """Turns the events of a batch into an answer."""

    batch: Batch
    job: str
    request_id: str | None
    names: SafeNames = field(default_factory=partial(SafeNames, RESULTS))
    results: dict[int, ImageResult] = field(default_factory=dict)

    async def zipped(self, events: AsyncIterator[Event]) -> AsyncGenerator[bytes | memoryview]:
        """The bytes of a zip file: each picture when it is there, and `RESULTS` at the end."""
        archive = ZipStream()
        async for event in events:
            if isinstance(event, Outcome):
                result = self._note(event)
                if result.file is not None:
                    async for piece in in_turns(archive.add(result.file, event.picture)):
                        yield piece
            # What is sent is not kept until the next one comes.
            del event
        results = self._summary().model_dump_json(exclude_none=True, indent=1)
        yield b"".join((*archive.add(RESULTS, results.encode()), *archive.close()))

    async def told(self, events: AsyncIterator[Event], emit: Emit) -> None:
        """Emits the events as they come, `BatchResults` at the end; waits while the client does not take them."""
        async for event in events:
            match event:
                case Began():
                    names = [photograph.name for photograph in self.batch.photographs]
                    emit("started", StartedEvent(job=self.job, images=names))
                case Step(index, step, total):
                    emit("step", BatchStepEvent(index=index, step=step, total=total))
                case Outcome():
                    emit("image", self._image_event(event))
                    await emit.taken()
            del event
        emit("result", self._summary())

    def _image_event(self, outcome: Outcome) -> ImageEvent:
        result = self._note(outcome)
        told = result.model_dump() | {"done": len(self.results), "total": len(self.batch.photographs)}
        if result.ok:
            told |= {"picture": outcome.picture, "format": self.batch.picture_format}
        return ImageEvent.model_validate(told)

    def _note(self, outcome: Outcome) -> ImageResult:
        name = self.batch.photographs[outcome.index].name
        if outcome.finished is None:
            assert outcome.problem is not None
            problem = outcome.problem.details(self.request_id)
            result = ImageResult(index=outcome.index, image=name, ok=False, problem=problem)
        else:
            result = ImageResult(
                index=outcome.index,
                image=name,
                ok=True,
                file=self.names.of(name, SUFFIXES[self.batch.picture_format]),
                seconds={stage: round(each, 6) for stage, each in outcome.finished.seconds.items()},
                **values_of(outcome.finished.answer),
            )
        self.results[outcome.index] = result
        return result

    def _summary(self) -> BatchResults:
        images = [self.results[index] for index in sorted(self.results)]
        done = sum(result.ok for result in images)
        lines = [LineProblem(line=line, problem=problem) for line, problem in self.batch.lines.items()]
        return BatchResults(
            job=self.job, model=self.batch.model, ok=done, failed=len(images) - done, images=images, lines=lines
        )


router = APIRouter()

_EVENTS: dict[str, type[BaseModel]] = {
    "started": StartedEvent,
    "step": BatchStepEvent,
    "image": ImageEvent,
    "result": BatchResults,
}
SCHEMAS = tuple(_EVENTS.values())
ZIP = "application/zip"


_EXAMPLE = (
    'event: started\ndata: {"job":"5f2c","images":["beach.jpg"]}\n\n'
    'event: image\ndata: {"index":0,"image":"beach.jpg","ok":true,"file":"beach.png","done":1,"total":1}\n\n'
    'event: result\ndata: {"job":"5f2c","ok":1,"failed":0}\n\n'
)


@router.post(
    "/v1/batches",
    tags=["batches"],
    summary="Harmonize many photographs",
    **answering(
        BatchForm,
        Harmonize.TASK,
        description=f"A zip file of pictures and `{RESULTS}`; events where `stream` is set",
        content={ZIP: None},
        events=_EVENTS,
        example=_EXAMPLE,
        further=("invalid_archive",),
    ),
)
async def harmonize_batch(request: Request) -> Response:
    """Each photograph has an outcome of its own: one that cannot be read does not fail the others.

    `beach_mask.png` is the mask of `beach.jpg`, beside it in the same folder; photographs without one are harmonized
    where their line of `expressions` says, or else `text`. The answer is a zip file that grows while the batch is
    worked on: the pictures under their old names, and `results.json`, which says of every photograph what became of it
    (the schema `BatchResults`). With `stream=true` it is events: `started`, `step` from a model that works in steps,
    `image` with each picture, `result`.

    A batch takes its turns among single requests and leaves them a place. Cancelling the job ends it: what is not done
    has the problem `cancelled`. A client that goes away cancels it too. What is not done within the server's time for
    batches has the problem `deadline_exceeded`.
    """
    service: Service = request.app.state.service
    batches: Batches = request.app.state.batches
    settings = service.settings
    async with AsyncExitStack() as stack:
        form = await stack.enter_async_context(
            request.app.state.uploads.form(
                request,
                BatchForm,
                service.models.setting_names(Harmonize.TASK),
                max_bytes=settings.max_batch_bytes + ENVELOPE_BYTES,
                max_file_bytes=settings.max_batch_bytes,
            )
        )
        caller = caller_of(request)
        request.state.model, request.state.job = form.model or "", caller.job
        batch = await _batch(service, form, caller)
        request.state.model = batch.model
        events = batches.run(batch, caller)
        reply = BatchReply(batch, caller.job or "", request_id(request.scope))
        headers = {JOB: caller.job or "", MODEL: batch.model}
        stack.push_async_callback(events.aclose)
        if form.stream:
            return await event_stream(request, partial(reply.told, events), stack.pop_all(), headers)
        # Whether it can begin has to be known before the answer does.
        async with while_connected(request):
            await anext(events)
        content = reply.zipped(events)
        stack.push_async_callback(content.aclose)
        headers["Content-Disposition"] = 'attachment; filename="harmonized.zip"'
        return OwnedStream(content, stack.pop_all(), headers, ZIP)


async def _batch(service: Service, form: BatchForm, caller: Caller) -> Batch:
    found, lines = await asyncio.to_thread(form.photographs, service.settings)
    # Looked up anew: once the answer has begun, it cannot become a 404.
    service.models.doubt()
    text = next((each.text for each in found if each.text and not each.mask), form.text)
    asked = Harmonize(b"", text=text) if text is not None else Harmonize(b"", mask=b"")
    pipeline, settings = await service.choose(asked, form.model, form.settings, caller)
    service.deadline(pipeline, form.timeout)
    check_output(settings, form.format)
    return Batch(
        found,
        pipeline.model,
        text=form.text,
        settings=settings,
        deadline=form.timeout,
        patience=service.deadline(pipeline, None),
        within=service.settings.batch_deadline,
        picture_format=form.format,
        quality=form.quality,
        lines=lines,
    )
