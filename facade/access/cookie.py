"""The cookie of a browser that has signed in."""

from starlette.requests import HTTPConnection, Request
from starlette.responses import Response

from facade.settings import Settings

COOKIE = "concord-session"
SESSION_SECONDS = 12 * 60 * 60


def token_of(request: HTTPConnection) -> str:
    """What the cookie says; empty without one."""
    return request.cookies.get(COOKIE, "")


def give(
    answer: Response,
    token: str,
    request: Request,
    settings: Settings,
    cookie: str = COOKIE,
    seconds: int = SESSION_SECONDS,
) -> None:
    """Sends the cookie, which no script can read and no other site's page sends."""
    # Behind a proxy only the browser knows that it speaks https, or who set the facade up.
    origin = request.headers.get("origin") or next(iter(settings.origins), "")
    is_secure = request.url.scheme == "https" or origin.startswith("https:")
    answer.set_cookie(cookie, token, seconds, httponly=True, samesite="strict", secure=is_secure)


def take(answer: Response, cookie: str = COOKIE) -> None:
    """Has the browser forget it."""
    answer.delete_cookie(cookie)
