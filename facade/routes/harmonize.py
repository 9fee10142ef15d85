"""``POST /v1/harmonize``: the picture itself, everything as JSON, or events while it is made."""

import base64
import time
from contextlib import AsyncExitStack

from fastapi import APIRouter, Request, Response
from pydantic import BaseModel, Field

from facade.diffusion_form import DiffusionForm
from facade.problems import responses
from facade.routes import JOB_HEADERS, JOB_PARAMETER, PROBLEMS
from facade.wire.caller import Caller, while_connected
from facade.wire.events import MEDIA_TYPE as EVENTS
from facade.wire.events import Emit, EventStream, described
from facade.wire.forms import form_schema
from facade.wire.replies import (
    JOB,
    HarmonizedAnswer,
    encoded_picture,
    harmonized_answer,
    json_response,
    picture_response,
    wants_json,
)
from facade.work.catalogue import DHT
from facade.work.pictures import DEFAULT_QUALITY, MEDIA_TYPES, Format, check_format, check_picture
from facade.work.service import Finished, Order, Queued, Service, Stepped

router = APIRouter(prefix="/v1", tags=["harmonize"])


class HarmonizeForm(DiffusionForm):
    """What can be asked; exactly one of text and mask is to be given."""

    image: bytes = Field(description="the composite: JPEG, PNG, WebP, BMP, GIF or TIFF")
    text: str | None = Field(None, description="names the part to be harmonized", examples=["the red ball"])
    mask: bytes | None = Field(None, description="or an image of the same size, white (128 and above) where it is")
    model: str = Field(DHT, description="dht, one pass, or diffharmony, step by step; see /v1/models", examples=[DHT])
    preview: bool | None = Field(None, description="with stream: whether every step shows a small JPEG")
    format: Format = Field("png", description="png keeps every pixel outside the part; jpeg and webp lose detail")
    quality: int = Field(DEFAULT_QUALITY, ge=1, le=100, description="of jpeg and webp")
    stream: bool = Field(False, description="server-sent events instead of one answer")

    def order(self) -> Order:
        """What the service is asked."""
        return Order(self.image, self.text, self.mask, self.model, self.diffusion(preview=self.preview), self.timeout)


class QueuedEvent(BaseModel):
    """``queued``: the first event, and whenever the place changes."""

    job: str = Field(description="the id under which it can be cancelled")
    position: int = Field(description="1 for the next to go, 0 when the wait is over")


class StepEvent(BaseModel):
    """``step``: how far a diffusion is."""

    step: int = Field(description="steps done")
    total: int = Field(description="steps in all")


class PreviewEvent(BaseModel):
    """``preview``: what a diffusion has so far."""

    step: int
    total: int
    image: str = Field(description="a small JPEG, in base64")


_EVENTS = (
    "event: queued\n"
    'data: {"job":"5f2c","position":0}\n\n'
    'event: step\ndata: {"step":1,"total":5}\n\n'
    'event: result\ndata: {"image":"iVBORw0KGgo=","format":"png","model":"diffharmony"}\n\n'
)


@router.post(
    "/harmonize",
    summary="Harmonize one part of a photograph",
    response_class=Response,
    responses={
        200: {
            "description": "The picture; JSON where `Accept` asks for it; events where `stream` does",
            "headers": JOB_HEADERS
            | {
                "X-Concord-Seed": {"description": "of a diffusion", "schema": {"type": "integer"}},
                "X-Concord-Score": {"description": "of the mask found for a text", "schema": {"type": "number"}},
                "X-Concord-Truncated": {"description": "whether the text was cut", "schema": {"type": "boolean"}},
            },
            "content": {media: {"schema": {"type": "string", "format": "binary"}} for media in MEDIA_TYPES.values()}
            | {
                "application/json": {"schema": {"$ref": "#/components/schemas/HarmonizedAnswer"}},
                EVENTS: described("queued", "step", "preview", "result", example=_EVENTS),
            },
        },
        **responses(*PROBLEMS),
    },
    openapi_extra=form_schema(HarmonizeForm) | JOB_PARAMETER,
)
async def harmonize(request: Request) -> Response:
    """Every pixel outside the part stays as it was (in `png`; `jpeg` and `webp` are encoded anew).

    The part is named by `text`, or given as `mask`. `X-Job-Id` gives the job an id of your own, under which it can be
    cancelled at `/v1/jobs/{id}`; without it the id is that of the request. A client that goes away cancels its job.

    With `stream=true` the answer is events: `queued` first and whenever the place in the queue changes, `step` and
    `preview` from a diffusion, then `result` (as JSON) or `error` (a problem).
    """
    service: Service = request.app.state.service
    arrived = time.monotonic()
    async with AsyncExitStack() as stack:
        form = await stack.enter_async_context(request.app.state.uploads.form(request, HarmonizeForm))
        read = time.monotonic() - arrived
        if form.format != "png":
            check_format(check_picture(form.image, "image", service.settings), form.format)
        caller = Caller.of(request, service.jobs)
        request.state.model, request.state.job = form.model, caller.job
        if form.stream:
            work = _Streamed(service, form, caller)
            return await EventStream.open(request, work.produce, stack.pop_all(), headers={JOB: caller.job})
        async with while_connected(request):
            finished = await service.harmonize(form.order(), job=caller.job, owner=caller.owner, headers=caller.headers)
            picture, seconds = await _encoded(finished, form, read)
        if wants_json(request.headers.get("accept", "")):
            answer = harmonized_answer(picture, form.format, finished.answer, form.model, caller.job, seconds)
            return json_response(answer, caller.job)
        return picture_response(picture, form.format, finished.answer, form.model, caller.job, seconds)


class _Streamed:
    """One order whose events are sent."""

    def __init__(self, service: Service, form: HarmonizeForm, caller: Caller) -> None:
        self._service = service
        self._form = form
        self._caller = caller

    async def produce(self, emit: Emit) -> None:
        form, caller = self._form, self._caller

        def tell(event: Queued | Stepped) -> None:
            match event:
                case Queued(position):
                    emit("queued", QueuedEvent(job=caller.job, position=position))
                case Stepped(step, total, preview):
                    emit("step", StepEvent(step=step, total=total))
                    if preview is not None:
                        image = base64.b64encode(preview).decode()
                        emit("preview", PreviewEvent(step=step, total=total, image=image))

        finished = await self._service.harmonize(
            form.order(), job=caller.job, owner=caller.owner, headers=caller.headers, on_event=tell
        )
        picture, seconds = await _encoded(finished, form)
        emit("result", harmonized_answer(picture, form.format, finished.answer, form.model, caller.job, seconds))


async def _encoded(finished: Finished, form: HarmonizeForm, read: float = 0.0) -> tuple[bytes, dict[str, float]]:
    began = time.monotonic()
    picture = await encoded_picture(finished.answer, form.format, form.quality)
    return picture, {"read": read} | finished.seconds | {"encode": time.monotonic() - began}


SCHEMAS: tuple[type[BaseModel], ...] = (HarmonizedAnswer, QueuedEvent, StepEvent, PreviewEvent)
