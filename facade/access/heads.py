"""Looking at the head of a request before anything else does."""

from dataclasses import dataclass

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Receive, Scope, Send

from facade.problems import Problem
from facade.settings import Settings


@dataclass(frozen=True)
class HeadCheck:
    """ASGI middleware that answers a request with the problem that `check` raises."""

    app: ASGIApp
    settings: Settings

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            try:
                self.check(scope["method"], Headers(scope=scope))
            except Problem as problem:
                await problem.response(scope)(scope, receive, send)
                return
        await self.app(scope, receive, send)

    def check(self, method: str, headers: Headers) -> None:
        """Raises a `Problem` for a request that is refused."""
        raise NotImplementedError
