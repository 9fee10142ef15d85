"""The page of administrators: accounts with roles and limits, invitations, and the models that are loaded."""

from typing import Any, cast

from fastapi import FastAPI
from starlette.responses import Response

from facade.accounts.roles import ROLES, Role
from facade.page.account.paths import ADMINISTRATION
from facade.page.account.site import Visit, back_to, show, take
from facade.problems import Problem
from facade.work.operator import Operator


def install(app: FastAPI) -> None:
    """Adds the page and its forms."""
    show(app, ADMINISTRATION, _administration)
    take(app, f"{ADMINISTRATION}/change", _change, _showing)
    take(app, f"{ADMINISTRATION}/remove", _remove, _showing)
    take(app, f"{ADMINISTRATION}/invite", _invite, _showing)
    take(app, f"{ADMINISTRATION}/models", _load_or_unload, _showing)


async def _administration(visit: Visit) -> Response:
    visit.holder.require_administrator()
    return await _showing(visit, "", 200)


async def _showing(visit: Visit, said: str, status: int, code: str = "") -> Response:
    people = await visit.accounts.people.all()
    return visit.page(
        "administration",
        status,
        said=said,
        people=people,
        roles=ROLES,
        code=code,
        models=_models(visit),
        path=ADMINISTRATION,
    )


async def _change(visit: Visit) -> Response:
    visit.holder.require_administrator()
    given = visit.given
    blocked, limits = "blocked" in given, given.get("limits", "").strip()
    await visit.accounts.people.change(given.get("name", ""), _role(given.get("role", "")), blocked, limits)
    return back_to(ADMINISTRATION)


async def _remove(visit: Visit) -> Response:
    visit.holder.require_administrator()
    await visit.accounts.people.remove(visit.given.get("name", ""))
    return back_to(ADMINISTRATION)


async def _invite(visit: Visit) -> Response:
    visit.holder.require_administrator()
    _, code = await visit.accounts.people.invite(_role(visit.given.get("role", "")))
    return await _showing(visit, "", 200, code)


async def _load_or_unload(visit: Visit) -> Response:
    visit.holder.require_administrator()
    operator = _operator(visit)
    model = visit.given.get("model", "")
    if operator is None or model not in operator.models():
        raise Problem("unknown_model", f"there is no {model[:40]!r} to change", field="model")
    if "load" in visit.given:
        await operator.load(model, "", "")
    else:
        await operator.unload(model)
    return back_to(ADMINISTRATION)


def _models(visit: Visit) -> dict[str, bool] | None:
    """Whether each model is loaded; None where others than this server decide that."""
    operator = _operator(visit)
    return None if operator is None else operator.models()


def _operator(visit: Visit) -> Operator | None:
    state: Any = visit.request.app.state
    return cast(Operator | None, state.operator)


def _role(given: str) -> Role:
    if given not in ROLES:
        raise Problem("invalid_setting", f"{given[:40]!r} is no role", field="role", allowed=", ".join(ROLES))
    return given
