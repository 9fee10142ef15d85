"""The application: routes, what stands around them, and the work ahead of them."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import structlog
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import PlainTextResponse, RedirectResponse, Response
from starlette.routing import Route

from annotation.page import training
from annotation.page.progress import progress
from annotation.page.rendering import language, page, script, style
from annotation.page.samples import draft, picture, sample, work
from annotation.page.visits import ENTER, GUIDE, LEAVE, QUALIFICATION, WORK, Elsewhere, enter, leave
from annotation.page.workplace import Workplace
from concord.errors import ConcordError
from facade.access.origins import Origins
from facade.problems import Problem, problem_of

COMPOSITE = "{subset}/{file}"


def create_app(workplace: Workplace) -> Starlette:
    """The page for a data set, as an ASGI application; the store is open for as long as it runs."""

    @asynccontextmanager
    async def lifespan(_app: Starlette) -> AsyncIterator[None]:
        async with workplace.ahead.running():
            yield

    app = Starlette(
        routes=[
            Route("/", _home),
            Route("/healthz", _health),
            Route("/style.css", style),
            Route("/script.js", script),
            Route(ENTER, enter, methods=["GET", "POST"]),
            Route(LEAVE, leave, methods=["POST"]),
            Route(GUIDE, training.guide, methods=["GET", "POST"]),
            Route(QUALIFICATION, training.qualification, methods=["GET", "POST"]),
            Route(f"{QUALIFICATION}/again", training.again, methods=["POST"]),
            Route("/progress", progress),
            Route(WORK, work),
            Route(f"/samples/{COMPOSITE}", sample, methods=["GET", "POST"]),
            Route(f"/drafts/{COMPOSITE}", draft, methods=["PUT"]),
            Route(f"/pictures/{COMPOSITE}", picture),
        ],
        middleware=[Middleware(Origins, settings=workplace.settings)],
        exception_handlers={
            Elsewhere: _elsewhere,
            Exception: _unexpected,
            **dict.fromkeys((Problem, HTTPException, ConcordError, OSError), _trouble),
        },
        lifespan=lifespan,
    )
    app.state.workplace = workplace
    return app


async def _home(_request: Request) -> Response:
    return RedirectResponse(WORK)


async def _health(_request: Request) -> Response:
    return PlainTextResponse("ok")


async def _elsewhere(_request: Request, error: Exception) -> Response:
    assert isinstance(error, Elsewhere)
    return error.response()


async def _trouble(request: Request, error: Exception) -> Response:
    """What went wrong, as a page for people and as a problem for the script and for programs."""
    problem = problem_of(error)
    if "text/html" not in request.headers.get("accept", ""):
        return problem.response(request.scope)
    title = language(request)(f"problem.{problem.code}")
    return page(request, "trouble.html", status=problem.status, title=title, problem=problem)


async def _unexpected(request: Request, error: Exception) -> Response:
    structlog.get_logger("annotation").error("unexpected", path=request.url.path, exc_info=error)
    return await _trouble(request, error)
