"""Signing in to the page with an API key, where the server asks for keys."""

import secrets
import time
from dataclasses import dataclass, field
from http import HTTPStatus
from io import BytesIO
from pathlib import Path
from string import Template
from urllib.parse import parse_qs

from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse, Response
from starlette.types import ASGIApp, Receive, Scope, Send

from facade.access.keys import Keys, hash_of
from facade.page.languages import language_of
from facade.problems import Problem
from facade.settings import Settings
from facade.wire.uploads import Uploads

COOKIE = "concord-session"
SIGN_IN = "/sign-in"
SIGN_OUT = "/sign-out"
SESSION_SECONDS = 12 * 60 * 60

_MOST_BYTES = 2**16
_NOTHING_ELSE = (
    "default-src 'none'; style-src 'unsafe-inline'; img-src data:; form-action 'self'; frame-ancestors 'none'"
)
_FORM = Template(Path(__file__).with_name("sign_in.html").read_text())


@dataclass
class SignIn:
    """ASGI middleware that lets only browsers pass that have signed in.

    Leaves the name of the key's holder in ``scope["state"]["key"]``. Sessions are forgotten when the program ends, and
    count for nothing as soon as their key is not accepted any more.

    Attributes:
        sessions: the hash of the key and the time of the end, by what the cookie says.
    """

    app: ASGIApp
    keys: Keys
    uploads: Uploads
    settings: Settings
    sessions: dict[str, tuple[str, float]] = field(default_factory=dict)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        request = Request(scope, receive)
        session = request.cookies.get(COOKIE, "")
        hashed, expires = self.sessions.get(session, ("", 0.0))
        holder = self.keys.holder(hashed) if time.monotonic() < expires else None
        if scope["path"] == SIGN_IN and scope["method"] == "POST":
            try:
                answer = await self._sign_in(request)
            except Problem as problem:
                answer = problem.response(scope)
        elif scope["path"] == SIGN_OUT:
            self.sessions.pop(session, None)
            answer = RedirectResponse("/", HTTPStatus.SEE_OTHER)
            answer.delete_cookie(COOKIE)
        elif holder is not None:
            scope.setdefault("state", {})["key"] = holder
            await self.app(scope, receive, send)
            return
        elif scope["path"] in ("/", SIGN_IN):
            answer = _form(request)
        else:
            answer = Problem("unauthorized", "nobody has signed in", field="Cookie").response(scope)
        await answer(scope, receive, send)

    async def _sign_in(self, request: Request) -> Response:
        async with self.uploads.body(request, _MOST_BYTES, BytesIO) as body:
            given = parse_qs(body.getvalue().decode("ascii", "replace")).get("key", [""])[0]
        hashed = hash_of(given.strip())
        if self.keys.holder(hashed) is None:
            return _form(request, "sign_in.refused")
        now = time.monotonic()
        self.sessions = {token: session for token, session in self.sessions.items() if now < session[1]}
        token = secrets.token_urlsafe(32)
        self.sessions[token] = (hashed, now + SESSION_SECONDS)
        answer = RedirectResponse("/", HTTPStatus.SEE_OTHER)
        # Behind a proxy only the browser knows that it speaks https, or who set the facade up.
        origin = request.headers.get("origin") or next(iter(self.settings.origins), "")
        is_secure = request.url.scheme == "https" or origin.startswith("https:")
        answer.set_cookie(COOKIE, token, SESSION_SECONDS, httponly=True, samesite="strict", secure=is_secure)
        return answer


def _form(request: Request, trouble: str = "") -> Response:
    say = language_of(request.headers.get("accept-language", ""))
    alert = f'<p role="alert">{say(trouble)}</p>' if trouble else ""
    words = {"title": say("sign_in.title"), "label": say("sign_in.key"), "button": say("sign_in"), "lang": say.tag}
    headers = {"Cache-Control": "no-store", "Content-Security-Policy": _NOTHING_ELSE, "Vary": "Accept-Language"}
    page = _FORM.substitute(words, action=SIGN_IN, trouble=alert)
    return HTMLResponse(page, HTTPStatus.UNAUTHORIZED, headers)
