"""``/v2``: the pipelines under their own names, as KServe v2 has it, with the limits of every other route.

What is asked becomes a request of the pipeline's task, and is answered as one.
"""

import asyncio
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from importlib.metadata import version
from itertools import chain
from typing import Any

from fastapi import APIRouter, Request, Response
from pydantic import BaseModel

from concord_client.catalogue import Pipeline
from concord_client.errors import ConcordClientError
from facade.access.caller import Caller
from facade.kserve import shapes
from facade.kserve.call import HEADER_LENGTH, MAX_JSON_BYTES, Body, json_length, largest_body, read
from facade.kserve.shapes import VERSION, KServeProblem
from facade.kserve.tensors import Tensors
from facade.openapi import BINARY, JOB_PARAMETER, OF_ALL, responses, schema_of
from facade.problems import KINDS, Problem, problem_of
from facade.wire.caller import caller_of, while_connected
from facade.wire.pieces import Pieces, PiecewiseResponse, sliced
from facade.wire.replies import JOB, MODEL
from facade.work.service import Service

router = APIRouter(tags=["kserve"], responses=responses(*OF_ALL, body=KServeProblem))
API = "/v2"
SCHEMAS: tuple[type[BaseModel], ...] = (shapes.InferRequest, shapes.InferResponse, KServeProblem)

_PIPELINE = f"{API}/models/{{name}}"
_IN_PATH = {"in": "path", "required": True, "schema": {"type": "string"}}
_PATHS: dict[str, list[dict[str, Any]]] = {
    _PIPELINE: [],
    f"{_PIPELINE}/versions/{{version}}": [{"name": "version", "example": VERSION, **_IN_PATH}],
}
_LENGTH = {
    "name": HEADER_LENGTH,
    "in": "header",
    "required": False,
    "description": "bytes of JSON that the body begins with, where those of tensors follow",
    "schema": {"type": "integer", "minimum": 0, "maximum": MAX_JSON_BYTES},
}
_REFUSALS = ("unauthorized", "rate_limited", "unknown_model", "internal", "unavailable", "deadline_exceeded")
_NOT_OF_INFER = {"invalid_archive", "not_found", "unknown_job", "method_not_allowed", "wrong_replica"}
_OF_INFER = [code for code in KINDS if code not in _NOT_OF_INFER]
_READY = responses("unavailable", body=KServeProblem)
_ANSWER = {
    "description": "JSON; where an output is wanted as bytes, JSON of so many bytes as the header says, and these",
    "headers": {
        HEADER_LENGTH: {"description": "where bytes follow the JSON", "schema": {"type": "integer"}},
        JOB: {"description": "the id under which it could be cancelled", "schema": {"type": "string"}},
        MODEL: {"description": "what made it", "schema": {"type": "string"}},
    },
    "content": {
        "application/json": {"schema": schema_of(shapes.InferResponse)},
        "application/octet-stream": {"schema": BINARY},
    },
}


@router.get(API, summary="What serves")
async def server_metadata() -> shapes.ServerMetadata:
    """Name, version, and what of Triton's extensions there is."""
    return shapes.ServerMetadata(version=version("concord"))


@router.get(f"{API}/health/live", summary="Whether the facade is alive")
async def live() -> shapes.ServerLive:
    """As `/healthz`."""
    return shapes.ServerLive()


@router.get(f"{API}/health/ready", summary="Whether requests are answered", responses=_READY)
async def ready(request: Request) -> shapes.ServerReady:
    """As `/readyz`."""
    _check_ready(request)
    return shapes.ServerReady()


async def pipeline_metadata(request: Request, name: str) -> shapes.PipelineMetadata:
    """Its inputs, which `/v1/models` and the documentation describe, and its outputs; each input is one value."""
    return Tensors.of(await _pipeline(request, name, caller_of(request))).metadata(name)


async def pipeline_ready(request: Request, name: str) -> shapes.PipelineReady:
    """200 if it is loaded, and requests are answered."""
    await _pipeline(request, name, caller_of(request))
    _check_ready(request)
    return shapes.PipelineReady(name=name)


async def infer(request: Request, name: str) -> Response:
    """Answers one request. In JSON, an image is a text in base64 or a data URL; every other input is as it is.

    Limits, keys, queues, deadlines and `X-Job-Id` are those of `/v1`. A pipeline that works in steps answers once.
    """
    service: Service = request.app.state.service
    caller = caller_of(request)
    pipeline = await _pipeline(request, name, caller)
    request.state.model, request.state.job = pipeline.model, caller.job
    if (coding := request.headers.get("content-encoding", "identity")) != "identity":
        problem = f"{coding[:40]!r} is not accepted"
        raise Problem("unsupported_media_type", problem, field="Content-Encoding", allowed="identity")
    said, tensors = json_length(request.headers.get(HEADER_LENGTH)), Tensors.of(pipeline)
    largest = largest_body(tensors, said, service.settings.max_bytes)
    with ExitStack() as kept, _naming(tensors):
        room = kept.enter_context(service.memory.room(caller.owner))
        async with request.app.state.uploads.body(request, largest, lambda: Body(said)) as body:
            # Of JSON there are texts, too, and pictures out of these, for as long as it is read.
            with service.memory.kept(caller.owner, 2 * body.json_bytes):
                call = await asyncio.to_thread(read, body, pipeline, tensors)
            async with while_connected(request):
                finished = await service.run(
                    call.request,
                    caller,
                    model=pipeline.model,
                    settings=call.settings,
                    deadline=call.timeout,
                    without=call.without,
                    room=room,
                )
        told, follow = call.answered(name, caller.job or "", finished.answer)
        json = Pieces.of(told, exclude_none=True)
        room.resize(sum(map(len, [*json.pictures, *follow])))
        headers = {JOB: caller.job or "", MODEL: pipeline.model}
        if follow:
            headers[HEADER_LENGTH] = str(len(json))
        media_type = "application/octet-stream" if follow else "application/json"
        pieces: Iterator[bytes | memoryview] = chain(json, *map(sliced, follow))
        return PiecewiseResponse(pieces, len(json) + sum(map(len, follow)), kept.pop_all(), headers, media_type)


for _path, _parameters in _PATHS.items():
    router.add_api_route(
        _path,
        pipeline_metadata,
        summary="What a pipeline takes and answers",
        responses=responses(*_REFUSALS, body=KServeProblem),
        openapi_extra={"parameters": _parameters},
    )
    router.add_api_route(
        f"{_path}/ready",
        pipeline_ready,
        summary="Whether a pipeline answers",
        responses=responses(*_REFUSALS, body=KServeProblem),
        openapi_extra={"parameters": _parameters},
    )
    router.add_api_route(
        f"{_path}/infer",
        infer,
        methods=["POST"],
        summary="Ask a pipeline",
        response_class=Response,
        responses={200: _ANSWER, **responses(*_OF_INFER, body=KServeProblem)},
        openapi_extra={
            "parameters": [*_parameters, _LENGTH, JOB_PARAMETER],
            "requestBody": {
                "required": True,
                "content": {"application/json": {"schema": schema_of(shapes.InferRequest)}},
            },
        },
    )


async def _pipeline(request: Request, name: str, caller: Caller) -> Pipeline:
    """The pipeline of this name; a pipeline has one version."""
    given = request.path_params.get("version", VERSION)
    pipeline: Pipeline = await request.app.state.service.pipeline(name, caller)
    if given != VERSION:
        problem = f"{name} has no version {given[:40]!r}"
        raise Problem("unknown_model", problem, field="version", allowed=VERSION)
    return pipeline


def _check_ready(request: Request) -> None:
    if not request.app.state.readiness.ready:
        raise Problem("unavailable", "no inference was answered lately")


@contextmanager
def _naming(tensors: Tensors) -> Iterator[None]:
    """Has problems name tensors, as those know them who ask here."""
    try:
        yield
    except (Problem, ConcordClientError) as error:
        problem = problem_of(error)
        problem.field = tensors.tensor_of(problem.field)
        raise problem from None
