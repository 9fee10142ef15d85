"""Signing in to the page with an API key, where the server asks for keys."""

import secrets
import time
from http import HTTPStatus
from urllib.parse import parse_qs

from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse, Response
from starlette.types import ASGIApp, Receive, Scope, Send

from facade.access.keys import Keys
from facade.problems import Problem

COOKIE = "concord-session"
SIGN_IN = "/sign-in"
SIGN_OUT = "/sign-out"
SESSION_SECONDS = 12 * 60 * 60

_MOST_BYTES = 4096
_NOTHING_ELSE = (
    "default-src 'none'; style-src 'unsafe-inline'; img-src data:; form-action 'self'; frame-ancestors 'none'"
)
_FORM = """<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>Concord: sign in</title>
<link rel="icon" href="data:,">
<style>
  :root {{ color-scheme: light dark; font: 16px/1.5 system-ui, sans-serif; }}
  body {{ max-width: 22rem; margin: 18vh auto 0; padding: 0 1rem; }}
  h1 {{ margin: 0; font-size: 1.5rem; letter-spacing: -0.02em; }}
  label {{ display: block; margin: 1.5rem 0 0.25rem; }}
  input, button {{ box-sizing: border-box; width: 100%; padding: 0.65rem; border-radius: 0.5rem; font: inherit; }}
  input {{ border: 1px solid #78716c; }}
  button {{ margin-top: 1rem; border: 0; background: #0f766e; color: white; font-weight: 600; cursor: pointer; }}
  [role="alert"] {{ margin: 1rem 0 0; color: light-dark(#b91c1c, #fca5a5); }}
  :focus-visible {{ outline: 3px solid #0f766e; outline-offset: 2px; }}
</style>
<h1>Concord</h1>
<form method="post" action="{action}">
  <label for="key">API key</label>
  <input id="key" name="key" type="password" autocomplete="current-password" required autofocus>
  <button>Sign in</button>
  {trouble}
</form>
</html>
"""


class SignIn:
    """ASGI middleware that lets only browsers pass that have signed in.

    Leaves the name of the key's holder in ``scope["state"]["key"]``. Sessions are forgotten when the program ends.
    """

    def __init__(self, app: ASGIApp, keys: Keys) -> None:
        self._app = app
        self._keys = keys
        self._sessions: dict[str, tuple[str, float]] = {}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Passes the request on, or answers with the form."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        request = Request(scope, receive)
        session = request.cookies.get(COOKIE, "")
        holder, expires = self._sessions.get(session, ("", 0.0))
        if scope["path"] == SIGN_IN and scope["method"] == "POST":
            answer = await self._sign_in(request)
        elif scope["path"] == SIGN_OUT:
            self._sessions.pop(session, None)
            answer = RedirectResponse("/", HTTPStatus.SEE_OTHER)
            answer.delete_cookie(COOKIE)
        elif time.monotonic() < expires:
            scope.setdefault("state", {})["key"] = holder
            await self._app(scope, receive, send)
            return
        elif scope["path"] in ("/", SIGN_IN):
            answer = _form()
        else:
            answer = Problem("unauthorized", "nobody has signed in", field="Cookie").response(scope)
        await answer(scope, receive, send)

    async def _sign_in(self, request: Request) -> Response:
        holder = self._keys.check(await _key(request))
        if holder is None:
            return _form("This key is not accepted.")
        now = time.monotonic()
        self._sessions = {token: session for token, session in self._sessions.items() if now < session[1]}
        token = secrets.token_urlsafe(32)
        self._sessions[token] = (holder, now + SESSION_SECONDS)
        answer = RedirectResponse("/", HTTPStatus.SEE_OTHER)
        is_secure = request.url.scheme == "https"
        answer.set_cookie(COOKIE, token, SESSION_SECONDS, httponly=True, samesite="strict", secure=is_secure)
        return answer


async def _key(request: Request) -> str:
    """The key of a posted form; empty where there is none."""
    body = b""
    async for chunk in request.stream():
        body += chunk
        if len(body) > _MOST_BYTES:
            return ""
    return parse_qs(body.decode("ascii", "replace")).get("key", [""])[0].strip()


def _form(trouble: str = "") -> Response:
    alert = f'<p role="alert">{trouble}</p>' if trouble else ""
    headers = {"Cache-Control": "no-store", "Content-Security-Policy": _NOTHING_ELSE}
    return HTMLResponse(_FORM.format(action=SIGN_IN, trouble=alert), HTTPStatus.UNAUTHORIZED, headers)
