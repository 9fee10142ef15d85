"""``/healthz``, ``/readyz`` and ``/metrics``: for those who run the facade."""

from fastapi import APIRouter, Request, Response
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest
from pydantic import BaseModel, Field

from facade.openapi import responses
from facade.problems import Problem
from facade.watch.metrics import Metrics
from facade.watch.readiness import Readiness

router = APIRouter(tags=["health"])


class Health(BaseModel):
    """An answer of health."""

    status: str = Field(description="a word", examples=["ok"])


@router.get("/healthz", summary="Whether the facade is alive")
async def healthz() -> Health:
    """200 as long as the process answers at all, whatever Triton does."""
    return Health(status="ok")


@router.get("/readyz", summary="Whether requests are answered", responses=responses("unavailable"))
async def readyz(request: Request) -> Health:
    """200 only if a real inference was answered lately."""
    readiness: Readiness = request.app.state.readiness
    if not readiness.ready:
        raise Problem("unavailable", "no inference was answered lately")
    return Health(status="ready")


@router.get(
    "/metrics",
    summary="Metrics for Prometheus",
    response_class=Response,
    responses={200: {"content": {CONTENT_TYPE_LATEST: {"schema": {"type": "string"}}}}},
)
async def metrics(request: Request) -> Response:
    """Requests, latency, the queue, what is in flight, and rejections by reason."""
    collected: Metrics = request.app.state.metrics
    return Response(generate_latest(collected.registry), media_type=CONTENT_TYPE_LATEST)
