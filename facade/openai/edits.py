"""``POST /v1/images/edits``: OpenAI's shape of the task `Harmonize`, for their clients."""

import asyncio
from contextlib import AsyncExitStack, ExitStack

from fastapi import APIRouter, Request, Response
from pydantic import BaseModel

from concord.limits import Limits
from concord_client.catalogue import PREVIEW
from concord_client.tasks.harmonize import Harmonize
from facade.openai import shapes
from facade.openai.pictures import Pictures, seeded
from facade.openapi import answering
from facade.problems import Problem
from facade.wire.caller import caller_of, while_connected
from facade.wire.events import event_stream
from facade.wire.replies import JOB, MODEL, json_response
from facade.work.pictures import check_output
from facade.work.reader import Reader
from facade.work.service import Service

router = APIRouter()

_KINDS = (shapes.PartialImageEvent, shapes.CompletedEvent)
_EVENTS: dict[str, type[BaseModel]] = {"image_edit.partial_image": _KINDS[0], "image_edit.completed": _KINDS[1]}
SCHEMAS: tuple[type[BaseModel], ...] = (shapes.ImagesResponse, *_EVENTS.values(), shapes.OpenAIProblem)
EDITS = "/v1/images/edits"

_EXAMPLE = (
    "event: image_edit.partial_image\n"
    'data: {"type":"image_edit.partial_image","partial_image_index":0,"b64_json":"iVBORw0KGgo="}\n\n'
    "event: image_edit.completed\n"
    'data: {"type":"image_edit.completed","b64_json":"iVBORw0KGgo=","output_format":"png","size":"1536x864"}\n\n'
)


@router.post(
    EDITS,
    tags=["openai"],
    summary="Harmonize one part of a photograph, as OpenAI's clients ask",
    **answering(
        shapes.EditForm,
        Harmonize.TASK,
        description="The pictures; events where `stream` is set",
        content={"application/json": shapes.ImagesResponse},
        events=_EVENTS,
        example=_EXAMPLE,
        problem=shapes.OpenAIProblem,
    ),
)
async def edit(request: Request) -> Response:
    """OpenAI's route for image edits: their client works with `base_url` set to this server's `/v1`.

    `prompt` is a referring expression, not an instruction. A mask is OpenAI's way round, transparent where the picture
    is to change; where both are given the mask says where, and the prompt is not read. Problems have OpenAI's `error`
    beside their own fields. Several pictures (`n`) are made one after the other; a stream has an event
    `image_edit.completed` for each.
    """
    service: Service = request.app.state.service
    async with AsyncExitStack() as stack:
        extra = service.models.setting_names(Harmonize.TASK)
        form = await stack.enter_async_context(request.app.state.uploads.form(request, shapes.EditForm, extra))
        caller = caller_of(request)
        request.state.model, request.state.job = form.model or "", caller.job
        harmonize = await _translated(form, service.reader, service.allowance(caller).limits, caller.owner)
        pipeline, settings = await service.choose(harmonize, form.model, form.settings, caller)
        check_output(settings, form.output_format)
        request.state.model = pipeline.model
        if form.stream and form.partial_images and PREVIEW in pipeline.settings:
            settings = {**settings, PREVIEW.lower(): True}
        each = [settings] if form.n == 1 else seeded(settings, pipeline, form.n)
        kept = stack.enter_context(ExitStack())
        room = kept.enter_context(service.memory.room(caller.owner))
        edits = Pictures(service, form, harmonize, pipeline.model, each, caller, room, _KINDS, ("mask",))
        if form.stream:
            headers = {JOB: caller.job or "", MODEL: pipeline.model}
            return await event_stream(request, edits.produce, stack.pop_all(), headers, shapes.openai_problem)
        async with while_connected(request):
            answer = await edits.answer()
        return json_response(answer, caller.job or "", kept.pop_all())


async def _translated(form: shapes.EditForm, reader: Reader, limits: Limits, holder: str) -> Harmonize:
    image = form.photograph
    form.check_size(await reader.size(image, limits, "image"))
    if form.mask is not None:
        mask = await reader.cheap_file(form.mask, limits, "mask", holder)
        return Harmonize(image, mask=await asyncio.to_thread(shapes.foreground_of, mask, limits))
    if form.prompt is None:
        raise Problem("missing_field", "neither prompt nor mask is given", field="prompt", allowed="prompt or mask")
    return Harmonize(image, text=form.prompt)
