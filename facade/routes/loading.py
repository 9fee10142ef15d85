"""Models that come and go at run time, for those who may manage them."""

from collections.abc import Awaitable, Callable

from fastapi import APIRouter, Request
from pydantic import BaseModel, Field

from concord.server.changes import Change
from concord_client.errors import ModelNotFound
from concord_client.transport import is_loopback
from facade.openapi import responses
from facade.problems import Problem
from facade.wire.caller import address_of
from facade.work.operator import Operator

router = APIRouter(prefix="/v1/models/{model}", tags=["models"])
_REFUSALS = ("unauthorized", "forbidden", "not_found", "unknown_model", "rate_limited", "internal", "server_failure")
_LOADING = (*_REFUSALS, "no_room")


class Changed(BaseModel):
    """What was done."""

    model: str
    loaded: list[str] = Field(description="names in Triton, in their order")
    unloaded: list[str] = Field(description="names in Triton, in their order")
    note: str = Field(description="how the profile was chosen, where one was asked for")


@router.post("/load", summary="Load a model", responses=responses(*_LOADING, "invalid_setting", "unexpected_field"))
async def load(request: Request, model: str, profile: str = "", device: str = "") -> Changed:
    """And what it runs that is not loaded. `profile` and `device` (`cpu`, `gpu:0`) are for the model's own networks."""
    odd = sorted(request.query_params.keys() - {"profile", "device"})
    if odd:
        raise Problem("unexpected_field", f"{odd[0][:40]!r} is no parameter", field="query", allowed="profile, device")
    return await _changed(request, model, lambda operator: operator.load(model, profile, device))


@router.post("/unload", summary="Unload a model", responses=responses(*_REFUSALS, "in_use"))
async def unload(request: Request, model: str) -> Changed:
    """And what only this model runs. Running requests are answered first; those that wait are refused."""
    return await _changed(request, model, lambda operator: operator.unload(model))


@router.post("/reload", summary="Load a model anew", responses=responses(*_LOADING))
async def reload(request: Request, model: str) -> Changed:
    """From the files that are there now. It answers meanwhile."""
    return await _changed(request, model, lambda operator: operator.reload(model))


async def _changed(request: Request, model: str, change: Callable[[Operator], Awaitable[Change]]) -> Changed:
    _require_right(request, model)
    operator: Operator | None = request.app.state.operator
    if operator is None:
        raise Problem("not_found", "the models of this server are managed elsewhere")
    try:
        done = await change(operator)
    except ModelNotFound as error:
        problem = f"there is no {model[:40]!r} to {request.url.path.rpartition('/')[2]}"
        raise Problem("unknown_model", problem, field="model", allowed=", ".join(error.known)) from error
    request.state.model = model
    return Changed(model=model, loaded=list(done.loads), unloaded=list(done.unloads), note=done.words)


def _require_right(request: Request, model: str) -> None:
    """Refuses who may not manage models, or not this one: without keys, programs of other machines never may."""
    state = request.app.state
    if not state.keys:
        if not (state.service.settings.manage and is_loopback(address_of(request))):
            raise Problem("forbidden", "models are not managed without a key", allowed="--manage, on this machine")
        return
    allowance = state.keys.allowance(request.state.key)
    if not allowance.manage:
        raise Problem("forbidden", "this key may not manage models", allowed="a key whose line says manage")
    if not allowance.has_model(model):
        raise Problem(
            "unknown_model", f"{model[:40]!r} is not loaded", field="model", allowed=", ".join(allowance.models)
        )
