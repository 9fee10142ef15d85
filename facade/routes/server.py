"""What is asked of the server itself: its models, its jobs, and its health for those who run it."""

from typing import Literal

from fastapi import APIRouter, Request, Response
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest
from pydantic import BaseModel, Field

from facade.openapi import responses
from facade.problems import Problem
from facade.wire.caller import caller_of
from facade.work.catalogue import PublicModel
from facade.work.wanted import check_kind, check_models

router = APIRouter()


class ModelList(BaseModel):
    """The models that can be asked now."""

    object: Literal["list"] = "list"
    data: list[PublicModel]


class Health(BaseModel):
    """An answer of health."""

    status: str = Field(description="a word", examples=["ok"])


@router.get(
    "/v1/models",
    tags=["models"],
    summary="The models that are loaded",
    responses=responses("unauthorized", "rate_limited", "internal", "unavailable", "deadline_exceeded"),
)
async def models(request: Request) -> ModelList:
    """Their inputs, settings and limits."""
    return ModelList(data=await request.app.state.service.public_models(caller_of(request)))


@router.delete(
    "/v1/jobs/{job}",
    tags=["jobs"],
    summary="Cancel a job",
    status_code=204,
    response_class=Response,
    responses={
        204: {"description": "It is cancelled, and answered with the problem `cancelled`"},
        **responses("unauthorized", "rate_limited", "unknown_job", "internal"),
    },
)
async def cancel(request: Request, job: str) -> Response:
    """A job that waits is never sent to Triton; a model that works in steps stops within one. Only the key that started
    a job may cancel it."""
    if not request.app.state.service.jobs.cancel(job, request.scope.get("state", {}).get("key", "")):
        raise Problem("unknown_job", "no job of this id is running", field="job")
    return Response(status_code=204)


@router.get("/healthz", tags=["health"], summary="Whether the facade is alive")
async def healthz() -> Health:
    """200 as long as the process answers at all, whatever Triton does."""
    return Health(status="ok")


@router.get(
    "/readyz",
    tags=["health"],
    summary="Whether requests are answered",
    responses=responses("unavailable", "wrong_replica", "unexpected_field"),
)
async def readyz(request: Request) -> Health:
    """200 only if a real inference was answered lately.

    A balancer can say in the query what it wants of a replica, such as `version=0.2.0&max_pixels=4000000&model=NAME`;
    one that is otherwise answers with the problem `wrong_replica`, which names what is.
    """
    state, wanted = request.app.state, request.query_params.multi_items()
    check_kind(wanted, state.service.settings, keyed=bool(state.keys))
    if not state.readiness.ready:
        raise Problem("unavailable", "no inference was answered lately")
    check_models(wanted, (pipeline.model for pipeline in state.service.models.visible().pipelines))
    return Health(status="ready")


@router.get(
    "/metrics",
    tags=["health"],
    summary="Metrics for Prometheus",
    response_class=Response,
    responses={200: {"content": {CONTENT_TYPE_LATEST: {"schema": {"type": "string"}}}}},
)
async def metrics(request: Request) -> Response:
    """Requests, latency, the queue, what is in flight, and rejections by reason."""
    return Response(generate_latest(request.app.state.metrics.registry), media_type=CONTENT_TYPE_LATEST)
