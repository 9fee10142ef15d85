"""``POST /v1/segment``: the part of a photograph that a text names."""

import time

from concord_client.pipelines import SEGMENT
from fastapi import APIRouter, Request, Response
from pydantic import BaseModel, ConfigDict, Field

from concord.loops.request import MAX_TIMEOUT
from facade.problems import responses
from facade.routes import JOB_HEADERS, JOB_PARAMETER, PROBLEMS
from facade.wire.caller import Caller, while_connected
from facade.wire.forms import form_schema
from facade.wire.replies import SegmentedAnswer, json_response, mask_response, segmented_answer, wants_json
from facade.work.service import Service

router = APIRouter(prefix="/v1", tags=["segment"])


class SegmentForm(BaseModel):
    """What can be asked."""

    model_config = ConfigDict(frozen=True)

    image: bytes = Field(description="the photograph: JPEG, PNG, WebP, BMP, GIF or TIFF")
    text: str = Field(description="names the part", examples=["the red ball"])
    timeout: float | None = Field(
        None, gt=0, le=MAX_TIMEOUT, allow_inf_nan=False, description="seconds, waiting in the queue included"
    )


@router.post(
    "/segment",
    summary="Find the part of a photograph that a text names",
    response_class=Response,
    responses={
        200: {
            "description": "The mask, white where the part is; JSON where `Accept` asks for it",
            "headers": JOB_HEADERS
            | {
                "X-Concord-Score": {"description": "0 where nothing was found", "schema": {"type": "number"}},
                "X-Concord-Truncated": {"description": "whether the text was cut", "schema": {"type": "boolean"}},
            },
            "content": {
                "image/png": {"schema": {"type": "string", "format": "binary"}},
                "application/json": {"schema": {"$ref": "#/components/schemas/SegmentedAnswer"}},
            },
        },
        **responses(*PROBLEMS),
    },
    openapi_extra=form_schema(SegmentForm) | JOB_PARAMETER,
)
async def segment(request: Request) -> Response:
    """The answer is a PNG of the photograph's size, 255 where the part is and 0 elsewhere."""
    service: Service = request.app.state.service
    request.state.model = SEGMENT
    arrived = time.monotonic()
    async with request.app.state.uploads.form(request, SegmentForm) as form:
        caller = Caller.of(request, service.jobs)
        request.state.job = caller.job
        read = time.monotonic()
        async with while_connected(request):
            answer = await service.segment(
                form.image,
                form.text,
                job=caller.job,
                owner=caller.owner,
                headers=caller.headers,
                deadline=form.timeout,
            )
        seconds = {"read": read - arrived, "total": time.monotonic() - arrived}
        if wants_json(request.headers.get("accept", "")):
            return json_response(segmented_answer(answer, SEGMENT, caller.job, seconds), caller.job)
        return mask_response(answer, SEGMENT, caller.job, seconds)


SCHEMAS: tuple[type[BaseModel], ...] = (SegmentedAnswer,)
