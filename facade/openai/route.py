"""``POST /v1/images/edits``: the same work in OpenAI's shape, for their clients."""

import asyncio
import secrets
import time
from contextlib import AsyncExitStack
from dataclasses import replace
from functools import partial
from typing import Literal, get_args

from fastapi import APIRouter, Request, Response
from pydantic import ConfigDict, Field

from concord.noise import MAX_SEED
from concord_client import Diffusion
from concord_client.diffusion import DIFFHARMONY
from facade.diffusion_form import DiffusionForm
from facade.openai.shapes import (
    MAX_PARTIAL_IMAGES,
    Background,
    EditedImage,
    ImagesResponse,
    Quality,
    Shape,
    completed_event,
    foreground_of,
    in_base64,
    partial_event,
    recoded,
    shown_steps,
    size_of,
)
from facade.problems import Problem, responses
from facade.routes import JOB_HEADERS, JOB_PARAMETER, PROBLEMS
from facade.settings import Settings
from facade.wire.caller import Caller, while_connected
from facade.wire.events import MEDIA_TYPE as EVENTS
from facade.wire.events import Emit, EventStream, described
from facade.wire.forms import form_schema
from facade.wire.replies import JOB, encoded_picture, json_response
from facade.work.catalogue import DHT
from facade.work.pictures import Format, check_format, check_picture
from facade.work.service import Finished, Order, Queued, Service, Stepped

router = APIRouter(prefix="/v1", tags=["openai"])

MAX_IMAGES = 4
_AUTO: Literal["auto"] = "auto"
_IGNORED = "accepted, and of no effect"


class EditForm(DiffusionForm):
    """OpenAI's parameters, and those of a diffusion, which their client sends as ``extra_body``."""

    model_config = ConfigDict(frozen=True, populate_by_name=True)

    image: bytes | None = Field(None, description="the composite: JPEG, PNG, WebP, BMP, GIF or TIFF")
    images: list[bytes] = Field([], alias="image[]", description="the same from clients that send a list; one image")
    prompt: str | None = Field(
        None, description="a referring expression that names the part to be harmonized", examples=["the red ball"]
    )
    mask: bytes | None = Field(
        None, description="or an image of the same size with alpha, transparent where that part is; goes before prompt"
    )
    model: str = Field(DHT, description="dht, one pass, or diffharmony, step by step; see /v1/models", examples=[DHT])
    n: int = Field(1, ge=1, le=MAX_IMAGES, description="pictures; more than one of diffharmony alone, seed after seed")
    size: str = Field(_AUTO, description="auto, or the image's own size: the answer always has that", examples=[_AUTO])
    output_format: Format = Field(
        "png", description="png keeps every pixel outside the part; jpeg and webp lose detail"
    )
    output_compression: int = Field(100, ge=0, le=100, description="quality of jpeg and webp; png takes 100 only")
    response_format: Literal["b64_json"] = Field(
        "b64_json",
        description="b64_json; nothing is kept that a url could name",
        json_schema_extra={"enum": ["b64_json"]},
    )
    stream: bool = Field(False, description="server-sent events instead of one answer")
    partial_images: int = Field(
        0, ge=0, le=MAX_PARTIAL_IMAGES, description="with stream: small pictures of a diffusion on its way"
    )
    background: Background = Field(_AUTO, description="the photograph's own; transparent is refused")
    quality: Quality | Literal["standard"] = Field(
        _AUTO, description=_IGNORED, json_schema_extra={"enum": [*get_args(Quality), "standard"]}
    )
    input_fidelity: Literal["low", "high"] | None = Field(None, description=_IGNORED)
    moderation: Literal["low", "auto"] | None = Field(None, description=_IGNORED)
    complexity: Literal["low", "medium", "high"] | None = Field(None, description=_IGNORED)
    user: str | None = Field(None, description=_IGNORED)
    safety_identifier: str | None = Field(None, description=_IGNORED)

    def photograph(self, settings: Settings) -> bytes:
        """The one image, checked with everything that hangs on it.

        Raises:
            Problem: there is none, or several; or the size, format or compression does not go with it.
            ConcordError: it is no image, or too large.
        """
        given = ([] if self.image is None else [self.image]) + self.images
        if not given:
            raise Problem("missing_field", "image is missing", field="image", allowed="an image file")
        if len(given) > 1:
            raise Problem("duplicate_field", f"{len(given)} images are given", field="image", allowed="one image")
        size = check_picture(given[0], "image", settings)
        check_format(size, self.output_format)
        own = f"{size[0]}x{size[1]}"
        if self.size not in (_AUTO, own):
            raise Problem("invalid_setting", f"{self.size[:40]!r} is not allowed", field="size", allowed=f"auto, {own}")
        if self.output_format == "png" and self.output_compression != 100:
            raise Problem(
                "invalid_setting", "png loses nothing", field="output_compression", allowed="100; or jpeg, webp"
            )
        return given[0]

    def orders(self, image: bytes, mask: bytes | None) -> list[Order]:
        """What the service is asked, an order for each picture; the mask is of our polarity.

        Raises:
            Problem: several pictures of a model that makes only one.
        """
        if self.n > 1 and self.model != DIFFHARMONY:
            raise Problem(
                "invalid_setting",
                f"{self.model[:40]} makes the same picture each time",
                field="n",
                allowed=f"1; up to {MAX_IMAGES} with model={DIFFHARMONY}",
            )
        shown = self.stream and self.partial_images > 0 and self.model == DIFFHARMONY
        diffusion = self.diffusion(preview=True if shown else None)
        text = self.prompt if mask is None else None
        order = Order(image, text, mask, self.model, diffusion, self.timeout, return_mask=False)
        if self.n == 1:
            return [order]
        seed = secrets.randbelow(MAX_SEED + 1) if self.seed is None else self.seed
        diffusion = diffusion or Diffusion()
        return [
            replace(order, diffusion=replace(diffusion, seed=(seed + number) % (MAX_SEED + 1)))
            for number in range(self.n)
        ]

    @property
    def shape(self) -> Shape:
        """What events repeat."""
        return Shape(self.output_format, self.background, _AUTO if self.quality == "standard" else self.quality)


_EVENTS = (
    "event: image_edit.partial_image\n"
    'data: {"type":"image_edit.partial_image","partial_image_index":0,"b64_json":"iVBORw0KGgo="}\n\n'
    "event: image_edit.completed\n"
    'data: {"type":"image_edit.completed","b64_json":"iVBORw0KGgo=","output_format":"png","size":"1536x864"}\n\n'
)


@router.post(
    "/images/edits",
    summary="Harmonize one part of a photograph, as OpenAI's clients ask",
    response_class=Response,
    responses={
        200: {
            "description": "The pictures; events where `stream` is set",
            "headers": JOB_HEADERS,
            "content": {
                "application/json": {"schema": {"$ref": "#/components/schemas/ImagesResponse"}},
                EVENTS: described("image_edit.partial_image", "image_edit.completed", example=_EVENTS),
            },
        },
        **responses(*PROBLEMS),
    },
    openapi_extra=form_schema(EditForm) | JOB_PARAMETER,
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
        form = await stack.enter_async_context(request.app.state.uploads.form(request, EditForm))
        caller = Caller.of(request, service.jobs)
        request.state.model, request.state.job = form.model, caller.job
        image, mask = form.photograph(service.settings), None
        if form.mask is not None:
            mask = await asyncio.to_thread(foreground_of, form.mask, service.settings.limits)
        elif form.prompt is None:
            raise Problem("missing_field", "neither prompt nor mask is given", field="prompt", allowed="prompt or mask")
        edits = _Edits(service, form, form.orders(image, mask), caller)
        headers = {JOB: caller.job, "X-Concord-Model": form.model}
        if form.stream:
            shown = partial(Problem.details, openai=True)
            return await EventStream.open(request, edits.produce, stack.pop_all(), headers=headers, shown=shown)
        async with while_connected(request):
            answer = await edits.answer()
        return json_response(answer, caller.job)


class _Edits:
    """The orders of one request, answered one after the other as one job."""

    def __init__(self, service: Service, form: EditForm, orders: list[Order], caller: Caller) -> None:
        self._service = service
        self._form = form
        self._orders = orders
        self._caller = caller

    async def answer(self) -> ImagesResponse:
        """All pictures at once."""
        form, data, size = self._form, [], ""
        with self._service.jobs.running(self._caller.job, self._caller.owner):
            for order in self._orders:
                finished = await self._ask(order)
                picture = await self._encoded(finished)
                size = size_of(picture)
                data.append(EditedImage(b64_json=in_base64(picture), seed=finished.answer.seed))
        return ImagesResponse(created=int(time.time()), data=data, output_format=form.output_format, size=size)

    async def produce(self, emit: Emit) -> None:
        """The events of all pictures."""
        with self._service.jobs.running(self._caller.job, self._caller.owner):
            for order in self._orders:
                finished = await self._ask(order, _Partials(self._form, emit))
                event = completed_event(await self._encoded(finished), finished.answer.seed, self._form.shape)
                emit(event.type, event)

    async def _ask(self, order: Order, on_event: "_Partials | None" = None) -> Finished:
        return await self._service.harmonize(order, headers=self._caller.headers, on_event=on_event)

    async def _encoded(self, finished: Finished) -> bytes:
        return await encoded_picture(finished.answer, self._form.output_format, max(1, self._form.output_compression))


class _Partials:
    """Emits some of the steps of one picture."""

    def __init__(self, form: EditForm, emit: Emit) -> None:
        self._form = form
        self._emit = emit
        self._sent = 0

    def __call__(self, told: Queued | Stepped) -> None:
        if not isinstance(told, Stepped) or told.preview is None:
            return
        if told.step in shown_steps(told.total, self._form.partial_images):
            picture = recoded(told.preview, self._form.output_format)
            event = partial_event(picture, self._sent, self._form.shape)
            self._sent += 1
            self._emit(event.type, event)
