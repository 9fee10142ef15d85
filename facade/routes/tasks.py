"""``POST /v1/<task>`` for every task: the picture itself, everything as JSON, or events while it is made.

Forms, headers, JSON and their descriptions are made from the fields of the task's request and answer.
"""

import time
from collections.abc import Awaitable, Callable, Iterable
from contextlib import AsyncExitStack
from typing import Any, cast

from fastapi import APIRouter, Request, Response
from pydantic import BaseModel, Field, create_model

from concord_client.tasks import TASKS
from concord_client.tasks.fields import Kind, TensorField
from concord_client.tasks.request import Answer
from facade.access.caller import Caller
from facade.openapi import responses, schema_of, task_form
from facade.problems import ProblemDetails
from facade.routes import JOB_HEADERS, JOB_PARAMETER, PROBLEMS
from facade.routes.model_form import ModelForm
from facade.routes.told import EVENTS, teller
from facade.wire.caller import caller_of, while_connected
from facade.wire.events import MEDIA_TYPE as EVENT_STREAM
from facade.wire.events import Emit, EventStream, described
from facade.wire.replies import JOB, MODEL, Reply, answer_model, has_photograph, header_schemas, picture_of, reply_of
from facade.work.pictures import DEFAULT_QUALITY, MEDIA_TYPES, Format, check_format, check_picture
from facade.work.requests import Task, made
from facade.work.service import Service

SCHEMAS: tuple[type[BaseModel], ...] = (*EVENTS.values(), *(answer_model(task.answer_type()) for task in TASKS))

_TYPES: dict[Kind, Any] = {"image": bytes, "text": str, "boolean": bool, "integer": int, "number": float}
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


class TaskForm(ModelForm):
    """What can be asked besides the fields of a task's request."""

    stream: bool = Field(False, description="server-sent events instead of one answer")


class PhotographForm(TaskForm):
    """The same, where the answer is a photograph."""

    format: Format = Field("png", description="png keeps every pixel outside the part; jpeg and webp lose detail")
    quality: int = Field(DEFAULT_QUALITY, ge=1, le=100, description="of jpeg and webp")


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
            response_class=Response,
            responses={200: _described(answer), **responses(*PROBLEMS)},
            openapi_extra=task_form(form, task.TASK) | JOB_PARAMETER,
        )
    return router


def form_of(task: Task) -> type[TaskForm]:
    """The form of a task's requests."""
    base = PhotographForm if has_photograph(task.answer_type()) else TaskForm
    fields: dict[str, Any] = {field.name: _form_field(field) for field in task.fields()}
    return cast(type[TaskForm], create_model(f"{task.__name__}Form", __base__=base, **fields))


def _form_field(field: TensorField) -> Any:
    kind = _TYPES[field.kind]
    words = f"{field.about}: {_FORMATS}" if field.kind == "image" else field.about
    described = Field(... if field.required else field.default, description=words, examples=_EXAMPLES.get(field.kind))
    return kind if field.default is not None else kind | None, described


def _described(answer: type[Answer]) -> dict[str, Any]:
    json = schema_of(answer_model(answer))
    result = {name: schema_of(event) for name, event in EVENTS.items()}
    events = result | {"result": json, "error": schema_of(ProblemDetails)}
    content: dict[str, Any] = {"application/json": {"schema": json}, EVENT_STREAM: described(events, _EXAMPLE)}
    pictures = list(MEDIA_TYPES.values()) if has_photograph(answer) else [MEDIA_TYPES["png"]]
    if picture_of(answer) is not None:
        content |= {media: {"schema": {"type": "string", "format": "binary"}} for media in pictures}
    return {
        "description": "The picture; JSON where `Accept` asks for it; events where `stream` does",
        "headers": JOB_HEADERS | header_schemas(answer),
        "content": content,
    }


def _endpoint(task: Task, form_type: type[TaskForm]) -> Callable[[Request], Awaitable[Response]]:
    async def endpoint(request: Request) -> Response:
        service: Service = request.app.state.service
        arrived = time.monotonic()
        async with AsyncExitStack() as stack:
            extra = service.models.setting_names(task.TASK)
            form = await stack.enter_async_context(request.app.state.uploads.form(request, form_type, extra=extra))
            asked = _Asked(service, task, form, caller_of(request), time.monotonic() - arrived)
            request.state.model, request.state.job = form.model or "", asked.caller.job
            model = request.state.model = await asked.choose()
            if form.stream:
                headers = {JOB: asked.job, MODEL: model}
                return await EventStream.open(request, asked.produce, stack.pop_all(), headers=headers)
            async with while_connected(request):
                reply = await asked.reply()
            return reply.response(request.headers.get("accept", ""))

    return endpoint


class _Asked:
    """One request to a task.

    Args:
        service: answers it.
        task: that is asked.
        form: as it was sent.
        caller: who asks.
        read: seconds that it took to arrive.
    """

    def __init__(self, service: Service, task: Task, form: TaskForm, caller: Caller, read: float) -> None:
        self.caller = caller
        self.job = caller.job or ""
        self._service = service
        self._form = form
        self._request = made(task, {field.name: getattr(form, field.name) for field in task.fields()})
        self._seconds = {"read": read}
        self._format: Format = form.format if isinstance(form, PhotographForm) else "png"
        self._quality = form.quality if isinstance(form, PhotographForm) else DEFAULT_QUALITY

    async def choose(self) -> str:
        """The name of the model that is to answer; everything that can be wrong with the request is found here."""
        self._check_format()
        pipeline, self._settings = await self._service.choose(
            self._request, self._form.model, self._form.settings, self.caller
        )
        self._model = pipeline.model
        return self._model

    async def reply(self, emit: Emit | None = None) -> Reply:
        """The answer; its events are emitted while it is made."""
        finished = await self._service.run(
            self._request,
            self.caller,
            model=self._model,
            settings=self._settings,
            deadline=self._form.timeout,
            on_event=None if emit is None else teller(emit, self.job),
        )
        seconds = self._seconds | finished.seconds
        return await reply_of(finished.answer, self._format, self._quality, self._model, self.job, seconds)

    async def produce(self, emit: Emit) -> None:
        """The events of the answer."""
        emit("result", (await self.reply(emit)).told())

    def _check_format(self) -> None:
        """Refuses a format that cannot hold a picture of the first image's size."""
        image = next((field for field in self._request.given() if field.kind == "image"), None)
        if self._format != "png" and image is not None:
            allowance = self.caller.allowance or self._service.everyone
            size = check_picture(getattr(self._request, image.name), image.name, allowance.limits)
            check_format(size, self._format)
