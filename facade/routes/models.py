"""``GET /v1/models``: what is loaded, what it takes and within which limits."""

from typing import Literal

from fastapi import APIRouter, Request
from pydantic import BaseModel

from facade.openapi import responses
from facade.wire.caller import caller_of
from facade.work.catalogue import PublicModel

router = APIRouter(prefix="/v1", tags=["models"])


class ModelList(BaseModel):
    """The models that can be asked now."""

    object: Literal["list"] = "list"
    data: list[PublicModel]


@router.get(
    "/models",
    summary="The models that are loaded",
    responses=responses("unauthorized", "rate_limited", "internal", "unavailable", "deadline_exceeded"),
)
async def models(request: Request) -> ModelList:
    """Their inputs, settings and limits."""
    return ModelList(data=await request.app.state.service.public_models(caller_of(request)))
