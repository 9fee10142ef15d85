"""What of Gradio can be reached: a few routes, bodies within bounds, and only files of the page's own folder."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import Any

from gradio.routes import file_upload_statuses
from starlette.requests import Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from facade.access.declared import ENVELOPE_BYTES
from facade.page.folder import Folder
from facade.page.sessions import Sessions
from facade.problems import Problem, problem_of
from facade.wire.uploads import Uploads
from facade.work.memory import Memory

_HEARTBEAT = "/gradio_api/heartbeat/"
_JOIN = "/gradio_api/queue/join"
_UPLOAD = "/gradio_api/upload"
_PATHS = frozenset(
    {
        "/",
        "/config",
        "/favicon.ico",
        "/theme.css",
        "/manifest.json",
        "/gradio_api/app_id",
        "/gradio_api/cancel",
        "/gradio_api/info",
        "/gradio_api/queue/data",
        _JOIN,
        "/gradio_api/startup-events",
        _UPLOAD,
        "/gradio_api/upload_progress",
    }
)
# After the sign of equality there could be an address elsewhere, which Gradio would fetch.
_STARTS = ("/assets/", "/static/", "/gradio_api/file=/", _HEARTBEAT)

_EVENT_BYTES = 2**16
"""Of what a browser sends when something happens: words, and names of files."""
_LONGEST_SESSION = 64
_PIECE = 2**20


@dataclass(frozen=True)
class Surface:
    """ASGI middleware that keeps the rest of Gradio from the network: proxies, recordings, remote calls, editors.

    Bodies are read here, because Gradio reads them without bounds on their size and time. `max_bytes` is the largest
    photograph.
    """

    app: ASGIApp
    uploads: Uploads
    memory: Memory
    sessions: Sessions
    folder: Folder
    max_bytes: int

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        path: str = scope["path"]
        if path not in _PATHS and not path.startswith(_STARTS):
            await Problem("not_found", "there is no such page").response(scope)(scope, receive, send)
        elif path.startswith(_HEARTBEAT):
            with self.sessions.shown(path.removeprefix(_HEARTBEAT)):
                await self.app(scope, receive, send)
        elif scope["method"] in ("GET", "HEAD"):
            await self.app(scope, receive, send)
        else:
            try:
                await self._take(Request(scope, receive), send)
            except (Problem, OSError) as error:
                problem = problem_of(error)
                if problem.code == "internal":
                    raise
                await problem.response(scope)(scope, receive, send)

    async def _take(self, request: Request, send: Send) -> None:
        path = request.scope["path"]
        if path == _UPLOAD and (upload := request.query_params.get("upload_id")):
            # The browser asks at once how far it is.
            file_upload_statuses.track(upload)
        largest = self.max_bytes + ENVELOPE_BYTES if path == _UPLOAD else _EVENT_BYTES
        async with self.uploads.body(request, largest, BytesIO) as body:
            if path == _JOIN:
                self._admit(body.getvalue())
            size = body.tell()
            holder = request.scope.get("state", {}).get("key", "")
            # Gradio keeps a text in an upload twice.
            with self.memory.kept(holder, 2 * size if path == _UPLOAD else 0):
                await self.app(request.scope, _again(body, request.receive), send)
        if path == _UPLOAD:
            await self.folder.grow(size)

    def _admit(self, body: bytes) -> None:
        """Looks at what is said to have happened, before Gradio fetches the files of it from wherever they are.

        Raises:
            Problem: it names no session or a file that was not uploaded, or it cannot be taken now.
        """
        try:
            event = json.loads(body)
            paths = list(_paths(event))
        except (ValueError, RecursionError) as error:
            raise Problem("malformed_body", "it is no JSON") from error
        session = event.get("session_hash") if isinstance(event, dict) else None
        if not isinstance(session, str) or not 0 < len(session) <= _LONGEST_SESSION:
            allowed = f"1 to {_LONGEST_SESSION} characters"
            raise Problem("malformed_body", "it names no session", field="session_hash", allowed=allowed)
        for path in paths:
            self.folder.holding(Path(path))
        self.sessions.admit(session)


def _paths(value: Any) -> Iterator[str]:
    """The paths of all files in what a browser sent."""
    if isinstance(value, dict):
        if isinstance(path := value.get("path"), str):
            yield path
        value = list(value.values())
    if isinstance(value, list):
        for each in value:
            yield from _paths(each)


def _again(body: BytesIO, receive: Receive) -> Receive:
    """Gives a body that was read once more, in pieces, and then what comes after it."""
    size, complete = body.tell(), False
    body.seek(0)

    async def receive_again() -> Message:
        nonlocal complete
        if complete:
            return await receive()
        piece = body.read(_PIECE)
        complete = body.tell() == size
        return {"type": "http.request", "body": piece, "more_body": not complete}

    return receive_again
