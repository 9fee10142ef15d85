"""``POST /v1/images/edits``: OpenAI's shape of the task `Harmonize`, for their clients."""

import asyncio
import itertools
import secrets
import time
from contextlib import AsyncExitStack, ExitStack
from dataclasses import dataclass, replace

from fastapi import APIRouter, Request, Response
from pydantic import BaseModel

from concord.limits import Limits
from concord_client.catalogue import PREVIEW, Pipeline
from concord_client.tasks.harmonize import Harmonize, Harmonized
from facade.access.caller import Caller
from facade.openai import shapes
from facade.openapi import answering
from facade.problems import Problem
from facade.wire.caller import caller_of, while_connected
from facade.wire.events import Emit, event_stream
from facade.wire.replies import JOB, MODEL, json_response
from facade.work.memory import Room
from facade.work.pictures import check_output
from facade.work.reader import Reader
from facade.work.requests import Settings
from facade.work.service import Event, Finished, OnEvent, Service, Stepped

router = APIRouter()

_EVENTS: dict[str, type[BaseModel]] = {
    "image_edit.partial_image": shapes.PartialImageEvent,
    "image_edit.completed": shapes.CompletedEvent,
}
SCHEMAS: tuple[type[BaseModel], ...] = (shapes.ImagesResponse, *_EVENTS.values(), shapes.OpenAIProblem)
EDITS = "/v1/images/edits"
SEED = "seed"
"""The setting that makes pictures of one request differ."""

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
        each = [settings] if form.n == 1 else _seeded(settings, pipeline, form.n)
        kept = stack.enter_context(ExitStack())
        room = kept.enter_context(service.memory.room(caller.owner))
        edits = _Edits(service, form, harmonize, pipeline.model, each, caller, room)
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


@dataclass(frozen=True)
class _Edits:
    """The pictures of one request, made one after the other as one job, each with settings of its own."""

    service: Service
    form: shapes.EditForm
    request: Harmonize
    model: str
    settings: list[Settings]
    caller: Caller
    room: Room

    async def answer(self) -> shapes.ImagesResponse:
        data, size, output_format = [], "", self.form.output_format
        with self.service.jobs.running(self.caller.job, self.caller.owner):
            for settings in self.settings:
                # All at once: with room for some, two requests could wait for each other.
                finished = await self._ask(settings, pictures=len(self.settings))
                picture = await self._encoded(finished)
                size = shapes.size_of(picture)
                data.append(shapes.EditedImage(b64_json=picture, seed=finished.answer.seed))
        self.room.resize(sum(len(each.b64_json) for each in data))
        return shapes.ImagesResponse(created=int(time.time()), data=data, output_format=output_format, size=size)

    async def produce(self, emit: Emit) -> None:
        with self.service.jobs.running(self.caller.job, self.caller.owner):
            for settings in self.settings:
                finished = await self._ask(settings, _partials(self.form, emit))
                picture = await self._encoded(finished)
                self.room.resize(len(picture))
                event = shapes.completed_event(picture, finished.answer.seed, self.form.shape)
                emit(event.type, event)
                del finished, picture, event
                await emit.taken()
                self.room.resize(0)

    async def _ask(
        self, settings: Settings, on_event: OnEvent | None = None, *, pictures: int = 1
    ) -> Finished[Harmonized]:
        return await self.service.run(
            self.request,
            replace(self.caller, job=None),
            model=self.model,
            settings=settings,
            deadline=self.form.timeout,
            without=("mask",),
            on_event=on_event,
            room=self.room,
            pictures=pictures,
        )

    async def _encoded(self, finished: Finished[Harmonized]) -> bytes:
        compression = max(1, self.form.output_compression)
        picture_format, encode = self.form.output_format, self.service.encoder.encoded
        return await encode(finished.answer.image, picture_format, compression, self.caller.owner)


def _seeded(settings: Settings, pipeline: Pipeline, count: int) -> list[Settings]:
    """The settings of several pictures: one seed after the other, from the one that is given or else from any.

    Raises:
        Problem: the model has no seed, so that it makes only one.
    """
    setting = next((each for each in pipeline.settings.values() if each.public_name == SEED), None)
    if setting is None or setting.lowest is None or setting.highest is None:
        allowed = f"1; up to {shapes.MAX_IMAGES} of a model with a {SEED}, see /v1/models"
        problem = f"{pipeline.model} makes the same picture each time"
        raise Problem("invalid_setting", problem, field="n", allowed=allowed)
    lowest, seeds = int(setting.lowest), int(setting.highest) - int(setting.lowest) + 1
    first = int(settings[SEED]) - lowest if SEED in settings else secrets.randbelow(seeds)
    return [{**settings, SEED: lowest + (first + number) % seeds} for number in range(count)]


def _partials(form: shapes.EditForm, emit: Emit) -> OnEvent:
    """Emits some of the steps of one picture."""
    numbers, sent = itertools.count(), set[int]()

    def tell(told: Event) -> None:
        if not isinstance(told, Stepped) or told.preview is None or told.step in sent:
            return
        if told.step in shapes.shown_steps(told.total, form.partial_images):
            sent.add(told.step)
            event = shapes.partial_event(shapes.recoded(told.preview, form.output_format), next(numbers), form.shape)
            emit(event.type, event)

    return tell
