"""``POST /v1/batches``: many photographs in one request."""

import asyncio
from contextlib import AsyncExitStack
from functools import partial
from typing import Annotated

from fastapi import APIRouter, Request, Response
from pydantic import BaseModel, Field, WithJsonSchema

from concord_client.tasks.harmonize import Harmonize
from facade.access.caller import Caller
from facade.batches.archive import Archive, Bounds
from facade.batches.batch import Batch, Batches, Photograph, photographs
from facade.batches.replies import RESULTS, BatchReply, BatchResults, BatchStepEvent, ImageEvent, StartedEvent
from facade.openapi import BINARY, answering
from facade.problems import Problem, request_id
from facade.settings import Settings
from facade.wire.caller import caller_of
from facade.wire.events import OwnedStream, event_stream
from facade.wire.forms import NamedFile, PictureForm
from facade.wire.replies import JOB, MODEL
from facade.wire.uploads import ENVELOPE_BYTES
from facade.work.service import Service

router = APIRouter()

_EVENTS: dict[str, type[BaseModel]] = {
    "started": StartedEvent,
    "step": BatchStepEvent,
    "image": ImageEvent,
    "result": BatchResults,
}
SCHEMAS = tuple(_EVENTS.values())
ZIP = "application/zip"


class BatchForm(PictureForm):
    """Photographs, and what is asked for all of them."""

    images: list[Annotated[NamedFile, WithJsonSchema(BINARY)]] = Field(
        [], description="the photographs and their masks, each with its file name"
    )
    archive: bytes | None = Field(None, description="or all of them in a zip file")
    text: str | None = Field(
        None, description="names the part, in photographs that have no mask of their own", examples=["the red ball"]
    )
    stream: bool = Field(False, description="server-sent events instead of a zip file")

    def photographs(self, settings: Settings) -> list[Photograph]:
        """What was sent, of which nothing is decoded or unpacked yet.

        Raises:
            Problem: nothing, too much, or both ways at once; or none has a mask and there is no text.
            ConcordError: the archive cannot be read, or is larger than it may be.
        """
        if (self.archive is None) == (not self.images):
            both = "both images and archive are given" if self.images else "neither images nor archive is given"
            code = "invalid_setting" if self.images else "missing_field"
            raise Problem(code, both, field="images", allowed="images or archive")
        if self.archive is None:
            found = photographs((file.name, partial(bytes, file.content)) for file in self.images)
        else:
            most = settings.max_batch_images
            archive = Archive(self.archive, Bounds(2 * most, settings.max_batch_bytes, settings.max_bytes))
            found = photographs((name, partial(archive.read, name)) for name in archive.names)
        if len(found) > settings.max_batch_images:
            allowed = f"at most {settings.max_batch_images} photographs"
            raise Problem("request_too_large", f"{len(found)} photographs", field="images", allowed=allowed)
        if self.text is None and not any(each.mask for each in found):
            raise Problem(
                "missing_field", "there is neither a text nor a mask", field="text", allowed="text, or NAME_mask.png"
            )
        return found


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
    where `text` says. The answer is a zip file that grows while the batch is worked on: the pictures under their old
    names, and `results.json`, which says of every photograph what became of it (the schema `BatchResults`). With
    `stream=true` it is events: `started`, `step` from a model that works in steps, `image` with each picture, `result`.

    A batch takes its turns among single requests and leaves them a place. Cancelling the job ends it: what is not done
    has the problem `cancelled`. A client that goes away cancels it too.
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
        await anext(events)
        content = reply.zipped(events)
        stack.push_async_callback(content.aclose)
        headers["Content-Disposition"] = 'attachment; filename="harmonized.zip"'
        return OwnedStream(content, stack.pop_all(), headers, ZIP)


async def _batch(service: Service, form: BatchForm, caller: Caller) -> Batch:
    found = await asyncio.to_thread(form.photographs, service.settings)
    # Looked up anew: once the answer has begun, it cannot become a 404.
    service.models.doubt()
    asked = Harmonize(b"", text=form.text) if form.text is not None else Harmonize(b"", mask=b"")
    pipeline, settings = await service.choose(asked, form.model, form.settings, caller)
    service.deadline(pipeline, form.timeout)
    return Batch(
        found,
        pipeline.model,
        text=form.text,
        settings=settings,
        deadline=form.timeout,
        patience=service.deadline(pipeline, None),
        picture_format=form.format,
        quality=form.quality,
    )
