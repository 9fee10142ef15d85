"""Answers 404 and 405 for unknown paths of the API: the page, mounted at ``/``, would take them otherwise."""

from collections.abc import Iterable

from starlette.exceptions import HTTPException
from starlette.routing import BaseRoute, Match
from starlette.types import Receive, Scope, Send

API = "/v1/"
_FOUND = "concord.unmatched"


class Unmatched(BaseRoute):
    """The last route of the API: a path that it does not have, or has for other methods.

    Args:
        routes: all the others.
    """

    def __init__(self, routes: Iterable[BaseRoute]) -> None:
        self._routes = list(routes)

    def matches(self, scope: Scope) -> tuple[Match, Scope]:
        """Everything below `API`, and every path of the routes."""
        if scope["type"] != "http":
            return Match.NONE, {}
        for route in self._routes:
            match, found = route.matches(scope)
            if match is Match.PARTIAL:
                return Match.FULL, {**found, _FOUND: route}
        return Match.FULL if scope["path"].startswith(API) else Match.NONE, {_FOUND: None}

    async def handle(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Has the path's own route refuse the method; 404 where there is none."""
        route: BaseRoute | None = scope[_FOUND]
        if route is None:
            raise HTTPException(404)
        await route.handle(scope, receive, send)
