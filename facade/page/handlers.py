"""What all handlers of the page need: who asks, in which language, and how what went wrong is said."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

import gradio as gr
import structlog

from concord_client.tasks.select import Select
from facade.access.caller import Caller
from facade.access.keys import Keys
from facade.access.rates import Rates
from facade.page import messages, pointing
from facade.page.folder import Folder
from facade.page.languages import Language, language_of
from facade.page.marks import Mask, layer_of
from facade.page.tab_state import CANVAS_SIDE, Forgotten, Photograph, TabState, Way
from facade.page.updates import Update, Updates
from facade.problems import Problem, problem_of
from facade.work.copies import copy_of
from facade.work.service import Service

if TYPE_CHECKING:
    from facade.history.histories import Histories

Sent: TypeAlias = dict[str, Any]
"""What a browser sends for a file, or for the editor: paths of files in Gradio's folder."""


Answering: TypeAlias = Callable[..., Awaitable[Update]]
"""Gradio hands over the request only to functions, not to partial ones."""


@dataclass(eq=False)
class Handlers:
    """The handlers of one page; `keys` say what a signed-in person may do, and `rates` count what they ask.

    `histories` are where results are kept; None where they are not.
    """

    service: Service
    parts: Updates
    folder: Folder
    keys: Keys
    rates: Rates
    histories: "Histories | None" = None

    async def poll(self, mode: str | None, chosen: str | None, form: str, request: gr.Request) -> Update:
        """The modes and models that are there now, and the chosen one's settings in place of those in the form."""
        say = language(request)
        try:
            models = await self.service.public_models(self.caller(request))
        except Exception as error:
            return self.parts.telling(trouble(error, say))
        return self.parts.choosing(models, mode, chosen, form, say)

    def cancel(self, request: gr.Request) -> None:
        """What is going on is no longer wanted, or its tab was closed."""
        self.service.jobs.cancel(job(request), holder(request))

    async def count(self, request: gr.Request) -> None:
        """Counts something that is asked of a model; raises a `Problem` where that is too much."""
        if self.keys:
            name = holder(request)
            await self.rates.count(name, self.keys.allowance(name).rate)

    def caller(self, request: gr.Request) -> Caller:
        name = holder(request)
        return Caller(job(request), name, allowance=self.keys.allowance(name))

    def is_busy(self, request: gr.Request) -> bool:
        """Whether something is going on in the tab."""
        return job(request) in self.service.jobs

    def layers(self, editor: Sent | None) -> list[Path]:
        """The files of what is painted; none where the editor was not shown yet."""
        sent = (editor or {}).get("layers") or []
        return [self.folder.holding(Path(str(layer.get("path")))) for layer in sent]

    def forgotten(self, say: Language) -> Update:
        return self.parts.dropping(trouble(Forgotten(), say))

    def marking(self, tab: TabState, say: Language, mask: Mask | None = None, status: str = "") -> Update:
        """The photograph to be marked: with this mask of the canvas, or as the tab has it."""
        mask = tab.canvas_mask() if mask is None else mask
        layer = self.folder.write("layer.png", layer_of(mask)) if mask.any() else None
        return self.parts.marking(tab, layer, pointing.picture(tab, layer, say), status)

    async def marking_soon(self, tab: TabState, say: Language, mask: Mask | None = None, status: str = "") -> Update:
        """`marking`, apart from the event loop."""
        return await asyncio.to_thread(self.marking, tab, say, mask, status)

    def first_way(self) -> Way:
        """How a photograph is marked at first: by clicks where a model is loaded that finds what is clicked."""
        selecting = self.service.models.catalogue.of_task(Select.TASK)
        return "point" if any("POINTS" in each.inputs for each in selecting) else "brush"

    def take(self, path: Path, encoded: bytes) -> Photograph:
        """A file of the page's folder, which has this content, as a photograph."""
        copy = copy_of(encoded, self.service.everyone.limits, CANVAS_SIDE)
        canvas = self.folder.write("photograph.jpg", copy.jpeg)
        return Photograph(path, path.stat().st_size, copy.original, canvas, copy.size)


def needed(text: str, missing: str) -> str:
    """The words; raises a `Problem`, with the sentence for it, where there are none."""
    if not text.strip():
        raise Problem("missing_field", missing, field="text")
    return text.strip()


def language(request: gr.Request) -> Language:
    """The language that the browser asks for."""
    return language_of(request.headers.get("accept-language", ""))


def holder(request: gr.Request) -> str:
    """Of the key that was used to sign in; empty where none is asked for."""
    return str(request.username or "")


def job(request: gr.Request) -> str:
    return f"page-{request.session_hash}"


def trouble(error: Exception, say: Language) -> str:
    """What is said of an error; one that nobody expected is logged."""
    if isinstance(error, Forgotten):
        error = Problem("missing_field", say("trouble.forgotten"), field="image")
    problem = problem_of(error)
    if problem.code == "cancelled":
        return messages.note(say("going.cancelled"))
    if problem.code == "internal":
        structlog.get_logger().error("the page failed", exc_info=error)
    return messages.trouble(problem, say)
