"""``POST /v1/<task>`` for every task: the picture itself, everything as JSON, or events while it is made.

Forms, headers, JSON and their descriptions are made from the fields of the task's request and answer.
"""

import time
from collections.abc import Awaitable, Callable, Iterable
from contextlib import AsyncExitStack, ExitStack
from functools import partial
from typing import Any, cast

from fastapi import APIRouter, Request, Response
from pydantic import BaseModel, Field, create_model

from concord.images import FORMATS_IN_WORDS
from concord_client.tasks import TASKS
from concord_client.tasks.fields import TensorField
from concord_client.tasks.request import Answer
from concord_client.tasks.request import Request as TaskRequest
from facade.access.caller import Caller
from facade.openapi import answering
from facade.problems import Problem
from facade.wire import replies
from facade.wire.caller import caller_of, while_connected
from facade.wire.events import Emit, event_stream
from facade.wire.forms import ModelForm, Numbers, PictureForm
from facade.wire.pieces import Base64
from facade.work.pictures import LAYERED, MEDIA_TYPES, Format, check_format, check_output
from facade.work.requests import Task, made
from facade.work.service import Event, Queued, Restarted, Service, Stepped


class QueuedEvent(BaseModel):
    """``queued``: the first event, and whenever the place changes."""

    job: str = Field(description="the id under which it can be cancelled")
    position: int = Field(description="1 for the next to go, 0 when the wait is over")


class StepEvent(BaseModel):
    """``step``: how far a model is that works in steps."""

    step: int = Field(description="steps done")
    total: int = Field(description="steps in all")


class PreviewEvent(BaseModel):
    """``preview``: what there is so far."""

    step: int
    total: int
    image: Base64 = Field(description="a small JPEG, in base64")


class RestartedEvent(BaseModel):
    """``restarted``: a process that had the job has ended; it begins again, with its first step and the same seed."""

    job: str


class KeptEvent(BaseModel):
    """``kept``, before the result."""

    id: str = Field(description="of the result, see /v1/history")


KEEP, KEPT_EVENT = "keep", "kept"
_EVENTS: dict[str, type[BaseModel]] = {
    "queued": QueuedEvent,
    "step": StepEvent,
    "preview": PreviewEvent,
    "restarted": RestartedEvent,
}
SCHEMAS: tuple[type[BaseModel], ...] = (
    *_EVENTS.values(),
    KeptEvent,
    *(replies.answer_model(task.answer_type()) for task in TASKS),
)

_EXAMPLES = {"text": ["the red ball"]}
_EXAMPLE = (
    "event: queued\n"
    'data: {"job":"5f2c","position":0}\n\n'
    'event: step\ndata: {"step":1,"total":5}\n\n'
    'event: result\ndata: {"image":"iVBORw0KGgo=","format":"png"}\n\n'
)
_DESCRIPTION = """Settings are those of the chosen model, see `/v1/models`.

`X-Job-Id` gives the job an id of your own, under which it can be cancelled at `/v1/jobs/{id}`; without it the id is
that of the request. A client that goes away cancels its job.

With `stream=true` the answer is events: `queued` first and whenever the place in the queue changes, `step` and
`preview` from a model that works in steps, `restarted` where a process of the server has ended and the job begins
again, then `result` (as JSON) or `error` (a problem)."""


def router_of(tasks: Iterable[Task], *, keeps: bool = False) -> APIRouter:
    """The routes of tasks; `keeps` is whether results can be kept."""
    router = APIRouter(prefix="/v1")
    kept: dict[str, type[BaseModel]] = {KEPT_EVENT: KeptEvent} if keeps else {}
    for task in tasks:
        form, answer = form_of(task, keeps=keeps), task.answer_type()
        router.add_api_route(
            f"/{task.TASK}",
            _endpoint(task, form),
            methods=["POST"],
            name=task.TASK,
            tags=[task.TASK],
            summary=task.about(),
            description=_DESCRIPTION,
            **answering(
                form,
                task.TASK,
                description="The picture; JSON where `Accept` asks for it; events where `stream` does",
                content=_content(answer),
                events=_EVENTS | kept | {"result": replies.answer_model(answer)},
                example=_EXAMPLE,
                headers=replies.header_schemas(answer),
            ),
        )
    return router


def form_of(task: Task, *, keeps: bool = False) -> type[ModelForm]:
    """The form of a task; where it keeps results, with a field that asks for it."""
    base = PictureForm if replies.has_photograph(task.answer_type()) else ModelForm
    fields: dict[str, Any] = {field.name: _form_field(field) for field in task.fields()}
    if keeps:
        fields[KEEP] = (bool, Field(False, description="whether the result is kept, see /v1/history"))
    return cast(type[ModelForm], create_model(f"{task.__name__}Form", __base__=base, **fields))


def _form_field(field: TensorField) -> Any:
    kind = Numbers if field.kind == "numbers" else replies.PYTHON[field.kind]
    words = f"{field.about}: {FORMATS_IN_WORDS}" if field.kind == "image" else field.about
    described = Field(... if field.required else field.default, description=words, examples=_examples(field))
    return kind if field.default is not None else kind | None, described


def _examples(field: TensorField) -> list[Any] | None:
    return [list(field.example)] if field.kind == "numbers" else _EXAMPLES.get(field.kind)


def _content(answer: type[Answer]) -> dict[str, type[BaseModel] | None]:
    json: dict[str, type[BaseModel] | None] = {"application/json": replies.answer_model(answer)}
    if replies.picture_of(answer) is None:
        return json
    return json | dict.fromkeys(MEDIA_TYPES.values() if replies.has_photograph(answer) else [MEDIA_TYPES["png"]])


def _endpoint(task: Task, form_type: type[ModelForm]) -> Callable[[Request], Awaitable[Response]]:
    async def endpoint(request: Request) -> Response:
        service: Service = request.app.state.service
        arrived = time.monotonic()
        async with AsyncExitStack() as stack:
            extra = service.models.setting_names(task.TASK)
            form = await stack.enter_async_context(request.app.state.uploads.form(request, form_type, extra))
            read = time.monotonic() - arrived
            caller = caller_of(request)
            job = caller.job or ""
            kept = stack.enter_context(ExitStack())
            room = kept.enter_context(service.memory.room(caller.owner))
            asked = made(task, {field.name: getattr(form, field.name) for field in task.fields()})
            request.state.model, request.state.job = form.model or "", job
            look = form if isinstance(form, PictureForm) else PictureForm.model_validate({})
            if look.format == LAYERED and not {"image", "mask"} <= {field.name for field in task.fields()}:
                problem = f"{task.TASK} has no photograph and mask to make layers of"
                raise Problem("invalid_setting", problem, field="format", allowed="a format without layers")
            if look.format != "png":
                await _check_format(asked, look.format, service, caller)
            histories = request.app.state.histories if getattr(form, KEEP, False) else None
            if histories is not None:
                histories.account(caller.owner)
            pipeline, settings = await service.choose(asked, form.model, form.settings, caller)
            check_output(settings, look.format)
            model = request.state.model = pipeline.model

            async def reply(emit: Emit | None = None) -> replies.Reply:
                finished = await service.run(
                    asked,
                    caller,
                    model=model,
                    settings=settings,
                    deadline=form.timeout,
                    on_event=None if emit is None else partial(_tell, emit, job),
                    room=room,
                )
                answer, seconds = finished.answer, {"read": read} | finished.seconds
                saved = ""
                if histories is not None:
                    saved = await histories.keep(caller.owner, asked, answer, model, form.settings)
                original = None
                if look.format == LAYERED:
                    original = await service.original(asked, answer, caller)
                with service.stages.timed("encode", model):
                    told = await replies.reply_of(
                        *(answer, service.encoder, look.format, look.quality, model, caller, seconds, original, saved)
                    )
                room.resize(told.size)
                return told

            async def produce(emit: Emit) -> None:
                told = await reply(emit)
                if told.kept:
                    emit(KEPT_EVENT, KeptEvent(id=told.kept))
                emit("result", told.told())

            if form.stream:
                return await event_stream(request, produce, stack.pop_all(), {replies.JOB: job, replies.MODEL: model})
            async with while_connected(request):
                answer = await reply()
            return answer.response(request.headers.get("accept", ""), kept.pop_all())

    return endpoint


async def _check_format(asked: TaskRequest[Any], picture_format: Format, service: Service, caller: Caller) -> None:
    """Refuses a format that cannot hold a picture of the first image's size."""
    image = next((field for field in asked.given() if field.kind == "image"), None)
    if image is not None:
        limits = service.allowance(caller).limits
        check_format(await service.reader.size(getattr(asked, image.name), limits, image.name), picture_format)


def _tell(emit: Emit, job: str, event: Event) -> None:
    match event:
        case Queued(position):
            emit("queued", QueuedEvent(job=job, position=position))
        case Restarted():
            emit("restarted", RestartedEvent(job=job))
        case Stepped(step, total, preview):
            emit("step", StepEvent(step=step, total=total))
            if preview is not None:
                emit("preview", PreviewEvent(step=step, total=total, image=preview))
