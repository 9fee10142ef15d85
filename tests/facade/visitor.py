"""A program that speaks to the page as a browser does, and says what no browser would."""

import uuid
from dataclasses import dataclass, field
from typing import Any

import httpx

from facade.page.sessions import Sessions
from facade.page.surface import Surface
from tests.facade.running import PATIENCE, Facade


@dataclass
class Visitor:
    """One tab of it, whose session has the name that it likes."""

    http: httpx.Client
    session: str = field(default_factory=lambda: uuid.uuid4().hex)

    def join(self, elem_id: str, event: str, *data: Any) -> httpx.Response:
        """Says that something happened to a part of the page; `data` is what the browser has in the event's inputs."""
        config = self.http.get("/config").json()
        part = next(each["id"] for each in config["components"] if each["props"].get("elem_id") == elem_id)
        handler = next(each["id"] for each in config["dependencies"] if [part, event] in each["targets"])
        said = {"data": list(data), "fn_index": handler, "session_hash": self.session}
        return self.http.post("/gradio_api/queue/join", json=said)

    def told(self) -> str:
        """What the page says to it, until nothing is going on."""
        return self.http.get("/gradio_api/queue/data", params={"session_hash": self.session}, timeout=PATIENCE).text

    def upload(self, content: bytes, name: str = "photo.png") -> dict[str, Any]:
        """Sends a file; returns how it is called in `data`."""
        [path] = self.http.post("/gradio_api/upload", files={"files": (name, content)}).json()
        return file_at(path, name)


def file_at(path: str, name: str = "photo.png") -> dict[str, Any]:
    return {"path": path, "orig_name": name, "meta": {"_type": "gradio.FileData"}}


def sessions_of(facade: Facade) -> Sessions:
    """What the page of a facade keeps of its tabs."""
    page: Any = facade.app.routes[-1]
    return next(each.kwargs["sessions"] for each in page.app.user_middleware if each.cls is Surface)
