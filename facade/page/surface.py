"""What of Gradio's routes the page needs; a browser is answered on no other."""

from starlette.types import ASGIApp, Receive, Scope, Send

from facade.problems import Problem

_PATHS = frozenset({"/", "/config", "/favicon.ico", "/theme.css", "/manifest.json"})
_STARTS = (
    "/assets/",
    "/static/",
    "/gradio_api/app_id",
    "/gradio_api/cancel",
    "/gradio_api/file=",
    "/gradio_api/heartbeat/",
    "/gradio_api/info",
    "/gradio_api/queue/",
    "/gradio_api/startup-events",
    "/gradio_api/upload",
)


class Surface:
    """ASGI middleware that keeps the rest of Gradio from the network: proxies, recordings, remote calls, editors."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Passes a request on, or answers that there is nothing."""
        if scope["type"] == "http" and scope["path"] not in _PATHS and not scope["path"].startswith(_STARTS):
            await Problem("not_found", "there is no such page").response(scope)(scope, receive, send)
            return
        await self._app(scope, receive, send)
