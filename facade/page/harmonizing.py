"""What a person does from the press of the button on: watches, compares, chooses among results, and takes one home."""

import asyncio
from collections.abc import AsyncGenerator
from dataclasses import dataclass, replace
from pathlib import Path

import gradio as gr

from concord_client.catalogue import PREVIEW, SEED, Pipeline
from concord_client.settings import SettingValue
from concord_client.tasks.fields import read_encoded
from concord_client.tasks.harmonize import Harmonize, Harmonized
from facade.access.caller import Caller
from facade.page import messages
from facade.page.downloads import FILES, download
from facade.page.form import texts_of
from facade.page.handlers import Answering, Handlers, Sent, holder, language, needed, trouble
from facade.page.languages import Language
from facade.page.layout import MOST_RESULTS, Update
from facade.page.marks import copy_of
from facade.page.tab_state import SHOWN_SIDE, Result, TabState
from facade.work.memory import Room
from facade.work.service import Event, Finished, Queued, Restarted

_HIGHEST_SEED = 2**63 - 1


@dataclass(frozen=True)
class _Wanted:
    """A request, and in which settings how many answers are wanted."""

    request: Harmonize
    pipeline: Pipeline
    settings: dict[str, SettingValue]
    count: int

    def numbered(self, number: int) -> dict[str, SettingValue]:
        """The settings of one answer: a seed that was given counts up, one that was not is drawn each time."""
        seed = self.settings.get(SEED.lower())
        if seed is None:
            return self.settings
        return {**self.settings, SEED.lower(): (int(seed) + number) % (_HIGHEST_SEED + 1)}


class Harmonizing(Handlers):
    """When it is known what is to be harmonized."""

    async def harmonize(
        self,
        tab: TabState | None,
        editor: Sent,
        text: str,
        model: str | None,
        count: int | None,
        settings: Sent,
        request: gr.Request,
    ) -> AsyncGenerator[Update]:
        """The photograph is wanted with its part at home, in one result or several."""
        say = language(request)
        if tab is None:
            yield self.forgotten(say)
        if tab is None or self.is_busy(request):
            return
        yield self.parts.showing(tab, messages.progress(say("going.harmonizing")), busy=True)
        finished: list[Finished[Harmonized]] = []
        try:
            caller = self.caller(request)
            memory, owner = self.service.memory, caller.owner
            with memory.kept(owner, tab.photograph.length), memory.room(owner) as room:
                layers = self.layers(editor) if self._takes_mask(model) else None
                asked = await asyncio.to_thread(_asked, tab, layers, text.strip(), say)
                asked, _ = await self.service.reader.checked(asked, self.service.allowance(caller), owner)
                wanted = await self._wanted(asked, model, count, settings, caller)
                for number in range(wanted.count):
                    await self.count(request)
                    async for event in self._events(wanted, number, caller, room):
                        if isinstance(event, Finished):
                            finished.append(event)
                            tab = await asyncio.to_thread(self._result, tab, wanted, event, number)
                        else:
                            yield self._progress(event, number, wanted.count, say)
                    if finished[-1].answer.score == 0:
                        break
            yield await asyncio.to_thread(self._compared, tab, finished, say)
        except Exception as error:
            # The results that are there already are not lost.
            told = trouble(error, say)
            yield self.parts.comparing(tab, say, told) if finished else self.parts.showing(tab, told)

    async def choose(self, tab: TabState | None, event: gr.SelectData, request: gr.Request) -> Update:
        """One of several results is to be kept."""
        say = language(request)
        if tab is None:
            return self.forgotten(say)
        place = event.index if isinstance(event.index, int) else 0
        tab = replace(tab, chosen=min(max(place, 0), len(tab.results) - 1))
        seed = tab.results[tab.chosen].seed
        return self.parts.comparing(tab, say, messages.note("" if seed is None else say("result.again", seed=seed)))

    def download(self, form: str) -> Answering:
        """For when a result is to be taken home in a form, as it is shown."""

        async def answer(tab: TabState | None, strength: float, request: gr.Request) -> Update:
            say = language(request)
            if tab is None:
                return self.forgotten(say)
            try:
                limits = self.service.everyone.limits
                with self.service.memory.kept(holder(request), 2 * tab.photograph.length):
                    content = await asyncio.to_thread(download, tab, form, float(strength), limits)
                    return {self.parts.taken: str(await asyncio.to_thread(self.folder.write, FILES[form], content))}
            except Exception as error:
                return {self.parts.taken: None, **self.parts.telling(trouble(error, say))}

        return answer

    def _takes_mask(self, model: str | None) -> bool:
        """Whether a mask can be given to a model; others find by words what they harmonize."""
        pipelines = self.service.models.catalogue.of_task(Harmonize.TASK)
        return any("MASK" in each.inputs for each in pipelines if model in (None, each.model))

    async def _wanted(
        self, asked: Harmonize, model: str | None, count: int | None, settings: Sent, caller: Caller
    ) -> _Wanted:
        pipeline, chosen = await self.service.choose(asked, model, texts_of(settings), caller)
        given = dict(chosen) | ({PREVIEW.lower(): True} if PREVIEW in pipeline.settings else {})
        several = count if isinstance(count, int) and SEED in pipeline.settings else 1
        return _Wanted(asked, pipeline, given, min(max(several, 1), MOST_RESULTS))

    async def _events(
        self, wanted: _Wanted, number: int, caller: Caller, room: Room
    ) -> AsyncGenerator[Event | Finished[Harmonized]]:
        events: asyncio.Queue[Event | None] = asyncio.Queue()
        work = self.service.run(
            wanted.request,
            caller,
            model=wanted.pipeline.model,
            settings=wanted.numbered(number),
            on_event=events.put_nowait,
            room=room,
        )
        task = asyncio.create_task(work)
        task.add_done_callback(lambda _: events.put_nowait(None))
        try:
            while (event := await events.get()) is not None:
                yield event
            yield task.result()
        finally:
            task.cancel()

    def _progress(self, event: Event, number: int, count: int, say: Language) -> Update:
        def told(text: str) -> str:
            return text if count == 1 else say("going.result", number=number + 1, total=count, text=text)

        if isinstance(event, Restarted):
            return self.parts.telling(messages.progress(told(say("going.restarted"))))
        if isinstance(event, Queued):
            waiting = say("going.waiting", position=event.position) if event.position else say("going.harmonizing")
            return self.parts.telling(messages.progress(told(waiting)))
        said = told(say("going.step", step=event.step, total=event.total))
        status = messages.progress(said, (number + event.step / event.total) / count)
        if event.preview is None:
            return self.parts.telling(status)
        return self.parts.stepping(messages.picture(event.preview, said), status)

    def _result(self, tab: TabState, wanted: _Wanted, finished: Finished[Harmonized], number: int) -> TabState:
        """The tab with one more result; the first takes the place of those before."""
        answer, request = finished.answer, wanted.request
        if answer.score == 0:
            return tab
        if number == 0:
            mask = answer.mask or (b"" if request.mask is None else read_encoded(request.mask))
            before = self._small("before.jpg", read_encoded(request.image))
            words = request.text or tab.words
            tab = replace(tab, mask=mask, words=words, compared=True, before=before, results=(), chosen=0)
        whole = self.folder.write("harmonized.png", answer.image)
        return replace(tab, results=(*tab.results, Result(whole, self._small("after.jpg", answer.image), answer.seed)))

    def _compared(self, tab: TabState, finished: list[Finished[Harmonized]], say: Language) -> Update:
        answer = finished[-1].answer
        if answer.score == 0:
            return self.parts.showing(tab, messages.note(messages.found(0, answer.truncated, say)))
        seconds = sum(each.seconds["inference"] for each in finished)
        return self.parts.comparing(tab, say, messages.note(messages.finished(seconds, tab.results[0].seed, say)))

    def _small(self, name: str, encoded: bytes) -> Path:
        return self.folder.write(name, copy_of(encoded, self.service.everyone.limits, SHOWN_SIDE).jpeg)


def _asked(tab: TabState, layers: list[Path] | None, text: str, say: Language) -> Harmonize:
    """The request; without layers it is made with words, whatever is marked."""
    image = tab.photograph.encoded()
    mask = tab.marked(layers, text) if layers is not None else None
    return Harmonize(image, text=needed(text, say)) if mask is None else Harmonize(image, mask=mask)
