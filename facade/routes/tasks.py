"""``POST /v1/<task>`` for every task: the picture itself, everything as JSON, or events while it is made.

Forms, headers, JSON and their descriptions are made from the fields of the task's request and answer.
"""

import time
from base64 import b64encode
from collections.abc import Awaitable, Callable, Iterable
from contextlib import AsyncExitStack
from functools import partial
from typing import Any, cast

from fastapi import APIRouter, Request, Response
from pydantic import BaseModel, Field, create_model

from concord_client.tasks import TASKS
from concord_client.tasks.fields import TensorField
from concord_client.tasks.request import Answer
from facade.access.caller import Caller
from facade.openapi import answering
from facade.wire.caller import caller_of, while_connected
from facade.wire.events import Emit, event_stream
from facade.wire.forms import ModelForm, PictureForm
from facade.wire.replies import (
    JOB,
    MODEL,
    PYTHON,
    Reply,
    answer_model,
    has_photograph,
    header_schemas,
    picture_of,
    reply_of,
)
from facade.work.pictures import DEFAULT_QUALITY, MEDIA_TYPES, Format, check_format, check_picture
from facade.work.requests import Task, made
from facade.work.service import Queued, Service, Stepped


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
    image: str = Field(description="a small JPEG, in base64")


_EVENTS: dict[str, type[BaseModel]] = {"queued": QueuedEvent, "step": StepEvent, "preview": PreviewEvent}
SCHEMAS: tuple[type[BaseModel], ...] = (*_EVENTS.values(), *(answer_model(task.answer_type()) for task in TASKS))

_FORMATS = "JPEG, PNG, WebP, BMP, GIF or TIFF"
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
`preview` from a model that works in steps, then `result` (as JSON) or `error` (a problem)."""


def router_of(tasks: Iterable[Task]) -> APIRouter:
    """A route for each task."""
    router = APIRouter(prefix="/v1")
    for task in tasks:
        form, answer = form_of(task), task.answer_type()
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
                events=_EVENTS | {"result": answer_model(answer)},
                example=_EXAMPLE,
                headers=header_schemas(answer),
            ),
        )
    return router


def form_of(task: Task) -> type[ModelForm]:
    """The form of a task's requests."""
    base = PictureForm if has_photograph(task.answer_type()) else ModelForm
    fields: dict[str, Any] = {field.name: _form_field(field) for field in task.fields()}
    return cast(type[ModelForm], create_model(f"{task.__name__}Form", __base__=base, **fields))


def _form_field(field: TensorField) -> Any:
    kind = PYTHON[field.kind]
    words = f"{field.about}: {_FORMATS}" if field.kind == "image" else field.about
    described = Field(... if field.required else field.default, description=words, examples=_EXAMPLES.get(field.kind))
    return kind if field.default is not None else kind | None, described


def _content(answer: type[Answer]) -> dict[str, type[BaseModel] | None]:
    json: dict[str, type[BaseModel] | None] = {"application/json": answer_model(answer)}
    if picture_of(answer) is None:
        return json
    return json | dict.fromkeys(MEDIA_TYPES.values() if has_photograph(answer) else [MEDIA_TYPES["png"]])


def _endpoint(task: Task, form_type: type[ModelForm]) -> Callable[[Request], Awaitable[Response]]:
    async def endpoint(request: Request) -> Response:
        service: Service = request.app.state.service
        arrived = time.monotonic()
        async with AsyncExitStack() as stack:
            extra = service.models.setting_names(task.TASK)
            form = await stack.enter_async_context(request.app.state.uploads.form(request, form_type, extra))
            asked = _Asked(service, task, form, caller_of(request), time.monotonic() - arrived)
            request.state.model, request.state.job = form.model or "", asked.job
            model = request.state.model = await asked.choose()
            if form.stream:
                return await event_stream(request, asked.produce, stack.pop_all(), {JOB: asked.job, MODEL: model})
            async with while_connected(request):
                reply = await asked.reply()
            return reply.response(request.headers.get("accept", ""))

    return endpoint


class _Asked:
    """One request to a task; `read` are the seconds that it took to arrive."""

    def __init__(self, service: Service, task: Task, form: ModelForm, caller: Caller, read: float) -> None:
        self.job = caller.job or ""
        self._caller = caller
        self._service = service
        self._form = form
        self._request = made(task, {field.name: getattr(form, field.name) for field in task.fields()})
        self._read = read
        self._format: Format = form.format if isinstance(form, PictureForm) else "png"
        self._quality = form.quality if isinstance(form, PictureForm) else DEFAULT_QUALITY

    async def choose(self) -> str:
        """The name of the model that is to answer; everything that can be wrong with the request is found here."""
        self._check_format()
        form = self._form
        pipeline, self._settings = await self._service.choose(self._request, form.model, form.settings, self._caller)
        self._model = pipeline.model
        return self._model

    async def reply(self, emit: Emit | None = None) -> Reply:
        """The answer; its events are emitted while it is made."""
        finished = await self._service.run(
            self._request,
            self._caller,
            model=self._model,
            settings=self._settings,
            deadline=self._form.timeout,
            on_event=None if emit is None else partial(_tell, emit, self.job),
        )
        seconds = {"read": self._read} | finished.seconds
        return await reply_of(finished.answer, self._format, self._quality, self._model, self.job, seconds)

    async def produce(self, emit: Emit) -> None:
        """The events of the answer."""
        emit("result", (await self.reply(emit)).told())

    def _check_format(self) -> None:
        """Refuses a format that cannot hold a picture of the first image's size."""
        image = next((field for field in self._request.given() if field.kind == "image"), None)
        if self._format != "png" and image is not None:
            limits = self._service.allowance(self._caller).limits
            check_format(check_picture(getattr(self._request, image.name), image.name, limits), self._format)


def _tell(emit: Emit, job: str, event: Queued | Stepped) -> None:
    match event:
        case Queued(position):
            emit("queued", QueuedEvent(job=job, position=position))
        case Stepped(step, total, preview):
            emit("step", StepEvent(step=step, total=total))
            if preview is not None:
                emit("preview", PreviewEvent(step=step, total=total, image=b64encode(preview).decode()))
