"""What these pages have in common: who is let in, the language, the form that was sent, and how a page is answered."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from http import HTTPStatus
from io import BytesIO
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs

import structlog
from fastapi import FastAPI, Request
from fastapi.responses import HTMLResponse, RedirectResponse
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from starlette.responses import FileResponse, Response

from facade.access.cookie import token_of
from facade.accounts.accounts import Accounts
from facade.accounts.entrance import Holder
from facade.page.account.paths import ACCOUNT, ADMINISTRATION, GALLERY, HARMONIZE, KEYS
from facade.page.doors import SIGN_IN
from facade.page.languages import Language, language_of
from facade.page.messages import trouble
from facade.page.sign_in import SIGN_OUT
from facade.problems import Problem, problem_of

FOLDER = Path(__file__).parent
STYLE, SCRIPT = f"{ACCOUNT}/style.css", f"{ACCOUNT}/compare.js"
_FILES = {STYLE: "text/css", SCRIPT: "text/javascript"}
_MOST_BYTES = 2**16
_MOST_FIELDS = 32
_POLICY = (
    "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self' data:; form-action 'self'; "
    "base-uri 'none'; frame-ancestors 'none'"
)
_TEMPLATES = Environment(
    loader=FileSystemLoader(FOLDER / "templates"), autoescape=True, undefined=StrictUndefined, trim_blocks=True
)
_log = structlog.get_logger("facade.page")


@dataclass(frozen=True)
class Visit:
    """A request of somebody who has signed in; `given` is the form that was sent."""

    request: Request
    name: str
    holder: Holder
    say: Language
    given: dict[str, str]

    @property
    def accounts(self) -> Accounts:
        found: Accounts = self.request.app.state.accounts
        return found

    def page(self, template: str, status: int = HTTPStatus.OK, *, said: str = "", **values: Any) -> Response:
        """A page; `said` is HTML of `facade.page.messages`."""
        links = [HARMONIZE, *([GALLERY] if self.request.app.state.histories else []), ACCOUNT, KEYS]
        links += [ADMINISTRATION] if self.holder.is_administrator else []
        content = _TEMPLATES.get_template(f"{template}.html").render(
            say=self.say,
            links={path: f"own.{path.strip('/') or 'harmonize'}" for path in links},
            here=f"/{template}",
            sign_out=SIGN_OUT,
            said=said,
            day=day,
            **values,
        )
        headers = {
            "Cache-Control": "no-store",
            "Content-Security-Policy": _POLICY,
            "Referrer-Policy": "same-origin",
            "Vary": "Accept-Language, Cookie",
            "X-Content-Type-Options": "nosniff",
        }
        return HTMLResponse(content, status, headers)


Handler = Callable[[Visit], Awaitable[Response]]


def show(app: FastAPI, path: str, handler: Handler) -> None:
    """Adds a page."""
    app.add_api_route(path, _endpoint(handler), methods=["GET"], include_in_schema=False)


def take(app: FastAPI, path: str, handler: Handler, shows: Callable[[Visit, str, int], Awaitable[Response]]) -> None:
    """Adds what is done with a form, which counts as a request; what is refused is told on the page that `shows` gives.

    `shows` is given a message as HTML, and the status.
    """
    app.add_api_route(path, _endpoint(handler, shows), methods=["POST"], include_in_schema=False)


def add_files(app: FastAPI) -> None:
    """Adds the style sheet and the script, which are for everybody."""
    for path, kind in _FILES.items():
        file = FOLDER / path.rpartition("/")[2]
        app.add_api_route(path, _file(file, kind), methods=["GET"], include_in_schema=False)


def back_to(path: str) -> Response:
    """After a form: the browser asks for a page."""
    return RedirectResponse(path, HTTPStatus.SEE_OTHER)


def day(seconds: int) -> str:
    """A time of the store as people write it in every language: ISO 8601, in UTC."""
    return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%d %H:%M}"


def _endpoint(
    handler: Handler, shows: Callable[[Visit, str, int], Awaitable[Response]] | None = None
) -> Callable[[Request], Awaitable[Response]]:
    async def endpoint(request: Request) -> Response:
        accounts: Accounts = request.app.state.accounts
        name = await accounts.entrance.by_session(token_of(request))
        if name is None:
            return back_to(SIGN_IN)
        request.state.key = name
        holder = accounts.entrance.holders[name]
        say = language_of(request.headers.get("accept-language", ""))
        visit = Visit(request, name, holder, say, {})
        try:
            if shows is not None:
                await request.app.state.rates.count(name, holder.allowance.rate)
                visit = Visit(request, name, holder, say, await _sent(request))
            return await handler(visit)
        except Exception as error:
            problem = problem_of(error)
            if problem.code == "internal":
                _log.error("a page failed", exc_info=error)
            request.state.problem = problem.code
            told = trouble(problem, say)
            if shows is None or (problem.code == "forbidden" and not holder.is_administrator):
                return visit.page("trouble", problem.status, said=told)
            return await shows(visit, told, problem.status)

    return endpoint


async def _sent(request: Request) -> dict[str, str]:
    async with request.app.state.uploads.body(request, _MOST_BYTES, BytesIO) as body:
        text = body.getvalue().decode("ascii", "replace")
    try:
        return {name: values[0] for name, values in parse_qs(text, max_num_fields=_MOST_FIELDS).items()}
    except ValueError:
        raise Problem("malformed_body", "the form has too many fields") from None


def _file(path: Path, kind: str) -> Callable[[], Awaitable[Response]]:
    async def endpoint() -> Response:
        return FileResponse(path, media_type=kind, headers={"Cache-Control": "max-age=3600"})

    return endpoint
