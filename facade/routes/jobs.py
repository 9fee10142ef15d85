"""``DELETE /v1/jobs/{job}``: a request that is waiting or being answered is given up."""

from fastapi import APIRouter, Request, Response

from facade.openapi import responses
from facade.problems import Problem
from facade.work.service import Service

router = APIRouter(prefix="/v1", tags=["jobs"])


@router.delete(
    "/jobs/{job}",
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
    service: Service = request.app.state.service
    if not service.cancel(job, request.scope.get("state", {}).get("key", "")):
        raise Problem("unknown_job", "no job of this id is running", field="job")
    return Response(status_code=204)
