"""What a person does to say what is out of place: brings a photograph, points, paints, gives a mask, or uses words."""

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable
from dataclasses import replace
from pathlib import Path

import gradio as gr

from concord.limits import Limits
from concord.masks import decode_mask, encode_mask
from concord_client.tasks.segment import Segment
from concord_client.tasks.select import Select
from facade.page import messages, pointing
from facade.page.examples import Example
from facade.page.handlers import Answering, Handlers, Sent, holder, language, needed, trouble
from facade.page.languages import Language
from facade.page.marks import Mask, painted, resized
from facade.page.modes import mode_of
from facade.page.tab_state import Pointed, TabState, Way
from facade.page.updates import Update


class Marking(Handlers):
    """Until it is known what is to be harmonized."""

    async def open(self, file: Sent, request: gr.Request) -> Update:
        """A photograph was dropped."""
        say = language(request)
        try:
            path = self.folder.holding(Path(str(file.get("path"))))
            return await self.marking_soon(await self._opened(path, holder(request)), say)
        except Exception as error:
            return self.parts.dropping(trouble(error, say))

    def open_example(self, example: Example) -> Answering:
        """For when an example is chosen: it is opened with its mask or its words."""

        async def answer(request: gr.Request) -> Update:
            say = language(request)
            try:
                tab, status = await self._opened(example.path, ""), ""
                if example.mask is not None:
                    tab = tab.marked_by(await asyncio.to_thread(example.mask.read_bytes))
                    status = messages.note(say("mark.given"))
                return await self.marking_soon(tab, say, None, status) | {self.parts.text: example.text}
            except Exception as error:
                return self.parts.dropping(trouble(error, say))

        return answer

    def again(self) -> Update:
        return self.parts.dropping()

    async def enter(
        self,
        tab: TabState | None,
        editor: Sent,
        mode_name: str | None,
        model: str | None,
        form: str,
        request: gr.Request,
    ) -> Update:
        """Something else is wanted; the photograph and what is marked in it stay."""
        say = language(request)
        try:
            polled = await self.poll(mode_name, model, form, request)
            if tab is not None:
                tab = tab if tab.compared else await asyncio.to_thread(_with_paint, tab, self.layers(editor))
                tab = replace(tab, compared=False)
            if not mode_of(mode_name).takes("image"):
                return self.parts.writing(tab) | polled
            return (self.parts.dropping() if tab is None else await self.marking_soon(tab, say)) | polled
        except Exception as error:
            return self.parts.telling(trouble(error, say))

    def go(self, way: Way) -> Answering:
        """For when it is to be marked in another way; what is marked stays."""

        async def answer(tab: TabState | None, editor: Sent, request: gr.Request) -> Update:
            say = language(request)
            if tab is None:
                return self.forgotten(say)
            try:
                tab = replace(await asyncio.to_thread(_with_paint, tab, self.layers(editor)), way=way)
                return await self.marking_soon(tab, say)
            except Exception as error:
                return self.parts.telling(trouble(error, say))

        return answer

    def redraw(self, change: Callable[[Mask], Mask], done: str) -> Answering:
        """For when what is marked is to be changed as a whole; the sentence `done` says that it was."""

        async def answer(tab: TabState | None, editor: Sent, request: gr.Request) -> Update:
            say = language(request)
            if tab is None:
                return self.forgotten(say)
            try:
                tab = await asyncio.to_thread(_with_paint, tab, self.layers(editor))
                mask = change(tab.canvas_mask())
                tab = tab.marked_by(encode_mask(resized(mask, tab.photograph.size)) if mask.any() else None)
                return await self.marking_soon(tab, say, mask, messages.note(say(done)))
            except Exception as error:
                return self.parts.telling(trouble(error, say))

        return answer

    async def take_mask(self, file: Sent, tab: TabState | None, request: gr.Request) -> Update:
        """A file is the mask."""
        say = language(request)
        if tab is None:
            return self.forgotten(say)
        try:
            path = self.folder.holding(Path(str(file.get("path"))))
            with self.service.memory.kept(holder(request), path.stat().st_size):
                encoded = await asyncio.to_thread(path.read_bytes)
                limits = self.service.everyone.limits
                cheap = await self.service.reader.cheap_file(encoded, limits, "mask", holder(request))
                tab = tab.marked_by(await asyncio.to_thread(_read_mask, cheap, tab, limits))
            return await self.marking_soon(tab, say, None, messages.note(say("mark.from_file")))
        except Exception as error:
            return self.parts.telling(trouble(error, say))

    async def adjust(self, tab: TabState | None, request: gr.Request) -> Update:
        """What is marked is to be changed by hand, after before and after were shown."""
        say = language(request)
        if tab is None:
            return self.forgotten(say)
        return await self.marking_soon(replace(tab, compared=False), say)

    async def select(
        self, tab: TabState | None, away: bool, event: gr.EventData, request: gr.Request
    ) -> AsyncGenerator[Update]:
        """The photograph was clicked, or a box was dragged in it."""

        def pointed(tab: TabState) -> tuple[TabState, Pointed]:
            return tab, pointing.pointed(tab, event._data, away=away is True)

        async for update in self._pointing(tab, pointed, request):
            yield update

    async def select_subject(self, tab: TabState | None, request: gr.Request) -> AsyncGenerator[Update]:
        """What the photograph is of is wanted."""
        async for update in self._pointing(tab, lambda tab: (replace(tab, way="point"), Pointed()), request):
            yield update

    async def _pointing(
        self, tab: TabState | None, pointed: Callable[[TabState], tuple[TabState, Pointed]], request: gr.Request
    ) -> AsyncGenerator[Update]:
        async def look(tab: TabState, say: Language) -> Update:
            try:
                return await self._selected(*pointed(tab), say, request)
            except Exception as error:
                return await self.marking_soon(tab, say, None, trouble(error, say))

        async for update in self._looking(tab, look, request):
            yield update

    async def guess_again(self, tab: TabState | None, request: gr.Request) -> Update:
        """The next of the parts that may be meant."""
        say = language(request)
        if tab is None:
            return self.forgotten(say)
        if not tab.pointed.guesses:
            return self.parts.telling(messages.note(say("mark.hint")))
        pointed = tab.pointed.next
        tab = tab.marked_by(pointed.guesses[pointed.guess], pointed=pointed)
        return await self.marking_soon(tab, say, None, _guessed(tab, say))

    async def find(
        self, tab: TabState | None, mode_name: str | None, text: str, request: gr.Request
    ) -> AsyncGenerator[Update]:
        """What the words name is wanted in the photograph."""
        mode = mode_of(mode_name)
        if mode.words != "part":
            return

        async def look(tab: TabState, say: Language) -> Update:
            try:
                await self.count(request)
                words = needed(text, say(f"mode.{mode.name}.missing"))
                with self.service.memory.kept(holder(request), tab.photograph.length):
                    encoded = await asyncio.to_thread(tab.photograph.encoded)
                    found = (await self.service.run(Segment(encoded, words), self.caller(request))).answer
                status = messages.note(messages.found(found.score, found.truncated, say))
                if found.score > 0:
                    return await self.marking_soon(tab.marked_by(found.mask, words), say, None, status)
                return self.parts.showing(tab, status)
            except Exception as error:
                return self.parts.showing(tab, trouble(error, say))

        async for update in self._looking(tab, look, request):
            yield update

    async def _looking(
        self, tab: TabState | None, look: Callable[[TabState, Language], Awaitable[Update]], request: gr.Request
    ) -> AsyncGenerator[Update]:
        """What is shown while something is looked for in the photograph, and then what was found."""
        say = language(request)
        if tab is None:
            yield self.forgotten(say)
        if tab is None or self.is_busy(request):
            return
        yield self.parts.showing(tab, messages.progress(say("going.looking")), busy=True)
        yield await look(tab, say)

    async def _selected(self, tab: TabState, pointed: Pointed, say: Language, request: gr.Request) -> Update:
        await self.count(request)
        with self.service.memory.kept(holder(request), tab.photograph.length):
            encoded = await asyncio.to_thread(tab.photograph.encoded)
            wanted = Select(encoded, points=pointed.points or None, box=pointed.box)
            found = (await self.service.run(wanted, self.caller(request))).answer
        pointed = replace(pointed, guesses=tuple(found.masks), scores=tuple(found.scores))
        tab = tab.marked_by(pointed.guesses[0], pointed=pointed)
        return await self.marking_soon(tab, say, None, _guessed(tab, say))

    async def _opened(self, path: Path, of: str) -> TabState:
        with self.service.memory.kept(of, path.stat().st_size):
            encoded = await asyncio.to_thread(path.read_bytes)
            limits = self.service.everyone.limits
            cheap = await self.service.reader.cheap_file(encoded, limits, "image", of)
            photograph = await asyncio.to_thread(self.take, path, cheap)
        return TabState(photograph, way=self.first_way())


def _with_paint(tab: TabState, layers: list[Path]) -> TabState:
    """The tab with what was painted in its editor."""
    if tab.way != "brush":
        return tab
    mask = painted(layers, tab.photograph.canvas_size)
    if (mask == tab.canvas_mask()).all():
        return tab
    return tab.marked_by(encode_mask(resized(mask, tab.photograph.size)) if mask.any() else None)


def _read_mask(encoded: bytes, tab: TabState, limits: Limits) -> bytes:
    height, width = tab.photograph.size
    return encode_mask(decode_mask(encoded, height, width, limits))


def _guessed(tab: TabState, say: Language) -> str:
    pointed = tab.pointed
    place, total = pointed.guess + 1, len(pointed.guesses)
    return messages.note(say("mark.selected", number=place, total=total, score=pointed.scores[pointed.guess]))
