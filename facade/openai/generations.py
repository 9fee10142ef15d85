"""``POST /v1/images/generations``: OpenAI's shape of the task `Generate`, for their clients."""

from contextlib import AsyncExitStack

from fastapi import APIRouter, Request, Response
from pydantic import BaseModel

from concord_client.catalogue import Pipeline
from concord_client.tasks.generate import Generate
from facade.openai import shapes
from facade.openai.pictures import Wish, replied
from facade.openapi import answering
from facade.problems import Problem
from facade.wire.caller import caller_of
from facade.wire.json_object import MEDIA_TYPE
from facade.work.service import Service

router = APIRouter()

GENERATIONS = "/v1/images/generations"
RESOLUTION = "resolution"
"""The setting of models whose pictures are squares of a chosen side."""

_KINDS = (shapes.GenerationPartialImageEvent, shapes.GenerationCompletedEvent)
_EVENTS: dict[str, type[BaseModel]] = {
    "image_generation.partial_image": _KINDS[0],
    "image_generation.completed": _KINDS[1],
}
SCHEMAS: tuple[type[BaseModel], ...] = _KINDS
_EXAMPLE = (
    "event: image_generation.completed\n"
    'data: {"type":"image_generation.completed","b64_json":"iVBORw0KGgo=","output_format":"png","size":"256x256"}\n\n'
)


@router.post(
    GENERATIONS,
    tags=["openai"],
    summary="Make a picture of what a text describes, as OpenAI's clients ask",
    **answering(
        shapes.GenerationForm,
        Generate.TASK,
        description="The pictures; events where `stream` is set",
        content={"application/json": shapes.ImagesResponse},
        events=_EVENTS,
        example=_EXAMPLE,
        problem=shapes.OpenAIProblem,
        body=MEDIA_TYPE,
    ),
)
async def generate(request: Request) -> Response:
    """OpenAI's route for generations: their client works with `base_url` set to this server's `/v1`.

    `size` is `auto` or the side of a square, such as `256x256`, where the model has the setting `resolution`. Problems
    have OpenAI's `error` beside their own fields. Several pictures (`n`) are made one after the other, seed after seed;
    a stream has an event `image_generation.completed` for each.
    """
    service: Service = request.app.state.service
    async with AsyncExitStack() as stack:
        extra = service.models.setting_names(Generate.TASK)
        form = await stack.enter_async_context(request.app.state.uploads.json(request, shapes.GenerationForm, extra))
        form.check_compression()
        caller = caller_of(request)
        request.state.model, request.state.job = form.model or "", caller.job
        asked = Generate(form.prompt)
        pipeline, _ = await service.choose(asked, form.model, {}, caller)
        pipeline, settings = await service.choose(asked, pipeline.model, _sized(form, pipeline), caller)
        request.state.model = pipeline.model
        return await replied(request, stack, service, caller, Wish(form, asked, pipeline, settings, _KINDS))


def _sized(form: shapes.GenerationForm, pipeline: Pipeline) -> dict[str, str]:
    """The settings that are asked for, and the resolution that the size names.

    Raises:
        Problem: the size is no square, or the model's pictures have one size only.
    """
    if form.side is None:
        return form.settings
    setting = next((each for each in pipeline.settings.values() if each.public_name == RESOLUTION), None)
    if setting is None:
        problem = f"{pipeline.model} has one size only"
        raise Problem("invalid_setting", problem, field="size", allowed="auto")
    if RESOLUTION in form.settings:
        raise Problem(
            "invalid_setting", f"{RESOLUTION} is given, too", field="size", allowed=f"auto, or no {RESOLUTION}"
        )
    return {**form.settings, RESOLUTION: str(form.side)}
