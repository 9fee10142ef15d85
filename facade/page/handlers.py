"""What the page does when a person does something. All inference goes through the service, so that its limits hold."""

import asyncio
from collections.abc import AsyncGenerator, Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, TypeAlias

import gradio as gr
import structlog

from concord_client.catalogue import PREVIEW
from concord_client.tasks.fields import read_encoded
from concord_client.tasks.harmonize import Harmonize, Harmonized
from concord_client.tasks.segment import Segment
from facade.access.caller import Caller
from facade.access.keys import Keys, Rates
from facade.page import messages
from facade.page.examples import Example
from facade.page.folder import Folder
from facade.page.layout import Parts, Update
from facade.page.tab_state import (
    CANVAS_SIDE,
    FORGOTTEN,
    SHOWN_SIDE,
    Mask,
    Photograph,
    TabState,
    copy_of,
    layer_of,
    painted,
)
from facade.problems import Problem, problem_of
from facade.work.memory import Room
from facade.work.service import Event, Finished, Queued, Restarted, Service

Sent: TypeAlias = dict[str, Any]
"""What a browser sends for a file, or for the editor: paths of files in Gradio's folder."""


@dataclass(eq=False)
class Handlers:
    """The handlers of one page; `keys` say what a signed-in person may do, and `rates` count what they ask."""

    service: Service
    parts: Parts
    folder: Folder
    keys: Keys
    rates: Rates

    async def poll(self, chosen: str | None, form: str, request: gr.Request) -> Update:
        """The models that are loaded now, and the settings of the chosen one in place of those in the form."""
        try:
            models = await self.service.public_models(self._caller(request))
        except Exception as error:
            return self.parts.telling(_trouble(error))
        return self.parts.choosing([model for model in models if model.task == Harmonize.TASK], chosen, form)

    async def open(self, file: Sent, request: gr.Request) -> Update:
        """A photograph was dropped."""
        return await self._open(Path(str(file.get("path"))), _holder(request), sent=True)

    async def open_example(self, example: Example) -> Update:
        """An example was chosen."""
        return await self._open(example.path, "") | {self.parts.text: example.text}

    def again(self) -> Update:
        return self.parts.dropping()

    async def redraw(self, change: Callable[[Mask], Mask], done: str, tab: TabState | None, editor: Sent) -> Update:
        """What is marked is to be changed as a whole; `done` says so."""
        if tab is None:
            return self._forgotten()
        try:
            mask = await asyncio.to_thread(painted, self._layers(editor), tab.photograph.canvas_size)
            return await asyncio.to_thread(self._marking, tab, change(mask), messages.note(done))
        except Exception as error:
            return self.parts.telling(_trouble(error))

    async def adjust(self, tab: TabState | None) -> Update:
        """What is marked is to be changed by hand, after before and after were shown."""
        if tab is None:
            return self._forgotten()
        return await asyncio.to_thread(self._marking, replace(tab, compared=False))

    async def find(self, tab: TabState | None, text: str, request: gr.Request) -> AsyncGenerator[Update]:
        """What the words name is wanted in the editor."""
        if tab is None:
            yield self._forgotten()
        if tab is None or _job(request) in self.service.jobs:
            return
        yield self.parts.showing(tab, messages.progress("Looking for it"), busy=True)
        try:
            await self._count(request)
            text = _needed(text)
            with self.service.memory.kept(_holder(request), tab.photograph.length):
                encoded = await asyncio.to_thread(tab.photograph.encoded)
                found = (await self.service.run(Segment(encoded, text), self._caller(request))).answer
            status = messages.note(messages.found(found.score, found.truncated))
            if found.score > 0:
                tab = replace(tab, mask=found.mask, words=text, compared=False)
                yield await asyncio.to_thread(self._marking, tab, None, status)
            else:
                yield self.parts.showing(tab, status)
        except Exception as error:
            yield self.parts.showing(tab, _trouble(error))

    async def harmonize(
        self, tab: TabState | None, editor: Sent, text: str, model: str | None, settings: Sent, request: gr.Request
    ) -> AsyncGenerator[Update]:
        """The photograph is wanted with its part at home."""
        if tab is None:
            yield self._forgotten()
        if tab is None or _job(request) in self.service.jobs:
            return
        yield self.parts.showing(tab, messages.progress("Harmonizing"), busy=True)
        try:
            await self._count(request)
            caller = self._caller(request)
            memory, holder = self.service.memory, caller.owner
            with memory.kept(holder, tab.photograph.length), memory.room(holder) as room:
                layers = self._layers(editor) if self._takes_mask(model) else None
                wanted = await asyncio.to_thread(_wanted, tab, layers, text.strip())
                wanted, _ = await self.service.reader.checked(wanted, self.service.allowance(caller), holder)
                async for event in self._events(wanted, model, messages.texts_of(settings), caller, room):
                    if isinstance(event, Finished):
                        yield await asyncio.to_thread(self._result, tab, wanted, event)
                    else:
                        yield self._progress(event)
        except Exception as error:
            yield self.parts.showing(tab, _trouble(error))

    def cancel(self, request: gr.Request) -> None:
        """What is going on is no longer wanted, or its tab was closed."""
        self.service.jobs.cancel(_job(request), _holder(request))

    async def _count(self, request: gr.Request) -> None:
        if self.keys:
            holder = _holder(request)
            await self.rates.count(holder, self.keys.allowance(holder).rate)

    def _takes_mask(self, model: str | None) -> bool:
        """Whether a mask can be given to a model; others find by words what they harmonize."""
        pipelines = self.service.models.catalogue.of_task(Harmonize.TASK)
        return any("MASK" in each.inputs for each in pipelines if model in (None, each.model))

    def _caller(self, request: gr.Request) -> Caller:
        holder = _holder(request)
        return Caller(_job(request), holder, allowance=self.keys.allowance(holder))

    async def _events(
        self, wanted: Harmonize, model: str | None, texts: dict[str, str], caller: Caller, room: Room
    ) -> AsyncGenerator[Event | Finished[Harmonized]]:
        pipeline, settings = await self.service.choose(wanted, model, texts, caller)
        if PREVIEW in pipeline.settings:
            settings = {**settings, PREVIEW.lower(): True}
        events: asyncio.Queue[Event | None] = asyncio.Queue()
        tell, name = events.put_nowait, pipeline.model
        work = self.service.run(wanted, caller, model=name, settings=settings, on_event=tell, room=room)
        task = asyncio.create_task(work)
        task.add_done_callback(lambda _: events.put_nowait(None))
        try:
            while (event := await events.get()) is not None:
                yield event
            yield task.result()
        finally:
            task.cancel()

    def _progress(self, event: Event) -> Update:
        if isinstance(event, Restarted):
            return self.parts.telling(messages.progress("A process of the server has ended; beginning again"))
        if isinstance(event, Queued):
            waiting = f"Waiting, number {event.position} in line"
            return self.parts.telling(messages.progress(waiting if event.position else "Harmonizing"))
        said = f"Step {event.step} of {event.total}"
        status = messages.progress(said, event.step / event.total)
        if event.preview is None:
            return self.parts.telling(status)
        return self.parts.stepping(messages.picture(event.preview, said), status)

    async def _open(self, path: Path, holder: str, *, sent: bool = False) -> Update:
        try:
            path = self.folder.holding(path) if sent else path
            with self.service.memory.kept(holder, path.stat().st_size):
                encoded = await asyncio.to_thread(path.read_bytes)
                limits = self.service.everyone.limits
                cheap = await self.service.reader.cheap_file(encoded, limits, "image", holder)
                photograph = await asyncio.to_thread(self._take, path, cheap)
        except Exception as error:
            return self.parts.dropping(_trouble(error))
        return self.parts.marking(TabState(photograph), None, "")

    def _take(self, path: Path, encoded: bytes) -> Photograph:
        copy = copy_of(encoded, self.service.everyone.limits, CANVAS_SIDE)
        canvas = self.folder.write("photograph.jpg", copy.jpeg)
        return Photograph(path, path.stat().st_size, copy.original, canvas, copy.size)

    def _layers(self, editor: Sent) -> list[Path]:
        return [self.folder.holding(Path(str(layer.get("path")))) for layer in editor["layers"]]

    def _forgotten(self) -> Update:
        return self.parts.dropping(_trouble(Problem("missing_field", FORGOTTEN, field="image")))

    def _marking(self, tab: TabState, mask: Mask | None = None, status: str = "") -> Update:
        mask = tab.canvas_mask() if mask is None else mask
        layer = self.folder.write("layer.png", layer_of(mask)) if mask.any() else None
        return self.parts.marking(tab, layer, status)

    def _result(self, tab: TabState, wanted: Harmonize, finished: Finished[Harmonized]) -> Update:
        answer = finished.answer
        if answer.score == 0:
            return self.parts.showing(tab, messages.note(messages.found(0, answer.truncated)))
        mask = answer.mask or (b"" if wanted.mask is None else read_encoded(wanted.mask))
        tab = replace(tab, mask=mask, words=wanted.text or tab.words, compared=True)
        before = self._small("before.jpg", read_encoded(wanted.image))
        after = self._small("after.jpg", answer.image)
        downloads = (self.folder.write("harmonized.png", answer.image), self.folder.write("mask.png", mask))
        status = messages.note(messages.finished(finished.seconds["inference"], answer.seed))
        return self.parts.comparing(tab, (before, after), downloads, status)

    def _small(self, name: str, encoded: bytes) -> Path:
        return self.folder.write(name, copy_of(encoded, self.service.everyone.limits, SHOWN_SIDE).jpeg)


def _wanted(tab: TabState, layers: list[Path] | None, text: str) -> Harmonize:
    """The request; without layers it is made with words, whatever is marked."""
    image = tab.photograph.encoded()
    mask = tab.marked(layers, text) if layers is not None else None
    return Harmonize(image, text=_needed(text)) if mask is None else Harmonize(image, mask=mask)


def _needed(text: str) -> str:
    if not text.strip():
        raise Problem("missing_field", "say what is out of place, or paint over it", field="text")
    return text.strip()


def _holder(request: gr.Request) -> str:
    """Of the key that was used to sign in; empty where none is asked for."""
    return str(request.username or "")


def _job(request: gr.Request) -> str:
    return f"page-{request.session_hash}"


def _trouble(error: Exception) -> str:
    problem = problem_of(error)
    if problem.code == "cancelled":
        return messages.note("Cancelled.")
    if problem.code == "internal":
        structlog.get_logger().error("the page failed", exc_info=error)
    return messages.trouble(problem)
