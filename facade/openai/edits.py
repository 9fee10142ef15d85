"""``POST /v1/images/edits``: OpenAI's shape of the tasks `Harmonize`, `Inpaint` and `Edit`, for their clients."""

import asyncio
from collections.abc import Collection
from contextlib import AsyncExitStack
from typing import TypeVar

from fastapi import APIRouter, Request, Response
from pydantic import BaseModel

from concord_client.tasks.edit import Edit
from concord_client.tasks.harmonize import Harmonize
from concord_client.tasks.inpaint import Inpaint
from facade.access.caller import Caller
from facade.openai import shapes
from facade.openai.pictures import Wish, replied
from facade.openapi import answering
from facade.problems import Problem
from facade.wire.caller import caller_of
from facade.work.pictures import check_output
from facade.work.service import Service

router = APIRouter()
Value = TypeVar("Value")

_TASKS = (Harmonize, Inpaint, Edit)
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
    is to change; where both are given the mask says where, and the prompt is not read. A model of the task `inpaint`,
    if it is named, fills the mask's hole; one of the task `edit` changes the part in the mask into what the prompt
    describes. Problems have OpenAI's `error` beside their own fields. Several pictures (`n`) are made one after the
    other; a stream has an event `image_edit.completed` for each.
    """
    service: Service = request.app.state.service
    async with AsyncExitStack() as stack:
        form = await stack.enter_async_context(
            request.app.state.uploads.form(request, shapes.EditForm, _setting_names(service))
        )
        caller = caller_of(request)
        request.state.model, request.state.job = form.model or "", caller.job
        asked = await _translated(form, service, caller)
        pipeline, settings = await service.choose(asked, form.model, form.settings, caller)
        check_output(settings, form.output_format)
        request.state.model = pipeline.model
        # Of the answer's pictures the first alone is sent on.
        _, *unwanted = (field.name for field in asked.answer_type().fields() if field.holds_images)
        wish = Wish(form, asked, pipeline, settings, _KINDS, tuple(unwanted))
        return await replied(request, stack, service, caller, wish)


def _setting_names(service: Service) -> Collection[str] | None:
    """The settings of all models that may be asked for; None where it may be any."""
    found = [service.models.setting_names(task.TASK) for task in _TASKS]
    return None if None in found else [name for names in found for name in names or ()]


async def _translated(form: shapes.EditForm, service: Service, caller: Caller) -> Harmonize | Inpaint | Edit:
    reader, limits, image = service.reader, service.allowance(caller).limits, form.photograph
    form.check_size(await reader.size(image, limits, "image"))
    mask = None
    if form.mask is not None:
        encoded = await reader.cheap_file(form.mask, limits, "mask", caller.owner)
        mask = await asyncio.to_thread(shapes.foreground_of, encoded, limits)
    task = next((each for each in _TASKS if form.model in service.models.catalogue.models(each.TASK)), Harmonize)
    if task is Harmonize:
        if mask is not None:
            return Harmonize(image, mask=mask)
        return Harmonize(
            image, text=_given(form.prompt, "prompt", "neither prompt nor mask is given", "prompt or mask")
        )
    where = "a mask, transparent where the picture is to change"
    mask = _given(mask, "mask", f"{form.model} changes what a mask shows", where)
    if task is Inpaint:
        return Inpaint(image, mask)
    return Edit(
        image, mask, _given(form.prompt, "prompt", f"{form.model} follows a prompt", "what the part is to show")
    )


def _given(value: Value | None, field: str, problem: str, allowed: str) -> Value:
    """A field's value; raises a `Problem` where there is none."""
    if value is None:
        raise Problem("missing_field", problem, field=field, allowed=allowed)
    return value
