"""Signing in to the page, where the server asks who comes: with an API key or with an account."""

from dataclasses import dataclass
from html import escape
from http import HTTPStatus
from io import BytesIO
from pathlib import Path
from string import Template
from urllib.parse import parse_qs

from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse, Response
from starlette.types import ASGIApp, Receive, Scope, Send

from facade.access.cookie import give, take, token_of
from facade.page import messages
from facade.page.doors import SIGN_IN, Door, Field
from facade.page.languages import Language, language_of
from facade.problems import Problem
from facade.settings import Settings
from facade.wire.caller import address_of
from facade.wire.uploads import Uploads

SIGN_OUT = "/sign-out"

_MOST_BYTES = 2**16
_NOTHING_ELSE = (
    "default-src 'none'; style-src 'unsafe-inline'; img-src data:; form-action 'self'; frame-ancestors 'none'"
)
_FORM = Template(Path(__file__).with_name("sign_in.html").read_text())


@dataclass
class SignIn:
    """ASGI middleware that lets only browsers pass that have signed in.

    Leaves the name of the holder in ``scope["state"]["key"]``.
    """

    app: ASGIApp
    door: Door
    uploads: Uploads
    settings: Settings

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        request = Request(scope, receive)
        try:
            answer = await self._answer(request)
        except Problem as problem:
            answer = problem.response(scope)
        await (answer or self.app)(scope, receive, send)

    async def _answer(self, request: Request) -> Response | None:
        """What is answered here; None where whoever has signed in asks for something of the page."""
        path, token = request.scope["path"], token_of(request)
        if path in self.door.forms and request.method == "POST":
            return await self._enter(request, path)
        if path == SIGN_OUT:
            await self.door.leave(token)
            answer = RedirectResponse("/", HTTPStatus.SEE_OTHER)
            take(answer)
            return answer
        if (holder := await self.door.holder(token)) is not None:
            request.scope.setdefault("state", {})["key"] = holder
            return None
        if path == "/" or path in self.door.forms:
            return self._form(request, SIGN_IN if path == "/" else path)
        raise Problem("unauthorized", "nobody has signed in", field="Cookie")

    async def _enter(self, request: Request, path: str) -> Response:
        async with self.uploads.body(request, _MOST_BYTES, BytesIO) as body:
            sent = parse_qs(body.getvalue().decode("ascii", "replace"))
        given = {each.name: sent.get(each.name, [""])[0] for each in self.door.forms[path].fields}
        try:
            token = await self.door.enter(path, given, address_of(request))
        except Problem as problem:
            request.scope.setdefault("state", {})["problem"] = problem.code
            return self._form(request, path, problem, given)
        answer = RedirectResponse("/", HTTPStatus.SEE_OTHER)
        give(answer, token, request, self.settings)
        return answer

    def _form(
        self, request: Request, path: str, problem: Problem | None = None, given: dict[str, str] | None = None
    ) -> Response:
        say = language_of(request.headers.get("accept-language", ""))
        form = self.door.forms[path]
        words = {
            "title": say(form.title),
            "button": say(form.button),
            "lang": say.tag,
            "fields": "".join(_input(each, number == 0, given or {}, say) for number, each in enumerate(form.fields)),
            "other": f'<p><a href="{form.other[0]}">{say(form.other[1])}</a></p>' if form.other else "",
            "trouble": self._trouble(path, problem, say) if problem else "",
            "action": path,
        }
        headers = {"Cache-Control": "no-store", "Content-Security-Policy": _NOTHING_ELSE, "Vary": "Accept-Language"}
        status = problem.status if problem else HTTPStatus.UNAUTHORIZED
        if problem and problem.retry_after:
            headers["Retry-After"] = str(round(problem.retry_after))
        return HTMLResponse(_FORM.substitute(words), status, headers)

    def _trouble(self, path: str, problem: Problem, say: Language) -> str:
        key = self.door.words(path, problem)
        return f'<p role="alert">{say(key)}</p>' if key else messages.trouble(problem, say)


def _input(field: Field, is_first: bool, given: dict[str, str], say: Language) -> str:
    """An input with its label; of what was sent, passwords are not sent back."""
    value = f' value="{escape(given[field.name])}"' if field.kind == "text" and field.name in given else ""
    focus = " autofocus" if is_first else ""
    return (
        f'<label for="{field.name}">{say(field.label)}</label>\n'
        f'<input id="{field.name}" name="{field.name}" type="{field.kind}" autocomplete="{field.autocomplete}"'
        f' autocapitalize="none" required{value}{focus}>\n'
    )
