"""What a person does from the press of the button on: watches, compares, chooses among results, and takes one home."""

import asyncio
from collections.abc import AsyncGenerator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import gradio as gr

from concord_client.catalogue import PREVIEW, SEED, Pipeline
from concord_client.settings import SettingValue
from concord_client.tasks.fields import read_encoded
from concord_client.tasks.request import Request
from facade.access.caller import Caller
from facade.page import messages
from facade.page.downloads import FORMS, download
from facade.page.form import texts_of
from facade.page.handlers import Answering, Handlers, Sent, holder, language, needed, trouble
from facade.page.languages import Language
from facade.page.layout import MOST_RESULTS
from facade.page.modes import Mode, mode_of
from facade.page.tab_state import SHOWN_SIDE, Result, TabState, read_again
from facade.page.updates import Update
from facade.problems import Problem
from facade.work.copies import copy_of
from facade.work.memory import Room
from facade.work.service import Event, Finished, Queued, Restarted

_HIGHEST_SEED = 2**63 - 1


@dataclass(frozen=True)
class _Wanted:
    """A request, and in which settings how many answers are wanted."""

    request: Request[Any]
    pipeline: Pipeline
    settings: dict[str, SettingValue]
    count: int

    def numbered(self, number: int) -> dict[str, SettingValue]:
        """The settings of one answer: a seed that was given counts up, one that was not is drawn each time."""
        seed = self.settings.get(SEED.lower())
        if seed is None:
            return self.settings
        return {**self.settings, SEED.lower(): (int(seed) + number) % (_HIGHEST_SEED + 1)}


class Asking(Handlers):
    """When it is known what is wanted of which part, or of which words."""

    async def ask(
        self,
        tab: TabState | None,
        editor: Sent,
        mode_name: str | None,
        text: str,
        model: str | None,
        count: int | None,
        keep: bool | None,
        settings: Sent,
        request: gr.Request,
    ) -> AsyncGenerator[Update]:
        """What the mode is for is wanted, in one result or several, which are kept where that is asked and can be."""
        say, mode = language(request), mode_of(mode_name)
        if tab is None and mode.takes("image"):
            yield self.forgotten(say)
            return
        if self.is_busy(request):
            return
        going = say(f"mode.{mode.name}.going")
        yield self.parts.showing(tab, messages.progress(going), mode=mode, busy=True)
        finished: list[Finished[Any]] = []
        try:
            caller = self.caller(request)
            memory, owner = self.service.memory, caller.owner
            length = tab.photograph.length if tab is not None else 0
            with memory.kept(owner, length), memory.room(owner) as room:
                layers = self.layers(editor) if self._takes_mask(mode, model) else None
                asked = await asyncio.to_thread(_asked, mode, tab, layers, text.strip(), say)
                asked, _ = await self.service.reader.checked(asked, self.service.allowance(caller), owner)
                wanted = await self._wanted(asked, model, count, settings, caller)
                for number in range(wanted.count):
                    await self.count(request)
                    async for event in self._events(wanted, number, caller, room):
                        if isinstance(event, Finished):
                            finished.append(event)
                            tab = await asyncio.to_thread(self._result, tab, mode, wanted, event, number)
                            if keep is True and not _found_nothing(finished):
                                await self._keep(owner, wanted, event, texts_of(settings))
                        else:
                            yield self._progress(event, number, wanted.count, going, say)
                    if _found_nothing(finished):
                        break
            yield await asyncio.to_thread(self._compared, tab, mode, finished, say)
        except Exception as error:
            # The results that are there already are not lost.
            told = trouble(error, say)
            if tab is not None and finished:
                yield self.parts.comparing(tab, say, told)
            else:
                yield self.parts.showing(tab, told, mode=mode)

    async def choose(self, tab: TabState | None, event: gr.SelectData, request: gr.Request) -> Update:
        """One of several results is to be kept."""
        say = language(request)
        if tab is None:
            return self.forgotten(say)
        place = event.index if isinstance(event.index, int) else 0
        tab = replace(tab, chosen=min(max(place, 0), len(tab.results) - 1))
        if tab.before is None:
            try:
                tab = await asyncio.to_thread(self._of_result, tab)
            except Exception as error:
                return self.parts.telling(trouble(error, say))
        seed = tab.results[tab.chosen].seed
        return self.parts.comparing(tab, say, messages.note("" if seed is None else say("result.again", seed=seed)))

    def download(self, form: str) -> Answering:
        """For when a result is to be taken home in a form, as it is shown."""

        async def answer(tab: TabState | None, mode: str | None, strength: float, request: gr.Request) -> Update:
            say = language(request)
            if tab is None:
                return self.forgotten(say)
            try:
                limits = self.service.everyone.limits
                with self.service.memory.kept(holder(request), 2 * tab.photograph.length):
                    content = await asyncio.to_thread(download, tab, form, float(strength), limits)
                    name = FORMS[form].format(answer=mode_of(mode).file)
                    return {self.parts.taken: str(await asyncio.to_thread(self.folder.write, name, content))}
            except Exception as error:
                return {self.parts.taken: None, **self.parts.telling(trouble(error, say))}

        return answer

    def _takes_mask(self, mode: Mode, model: str | None) -> bool:
        """Whether a mask can be given to a model; others find by words what they change, or change all."""
        pipelines = self.service.models.catalogue.of_task(mode.name)
        return any("MASK" in each.inputs for each in pipelines if model in (None, each.model))

    async def _wanted(
        self, asked: Request[Any], model: str | None, count: int | None, settings: Sent, caller: Caller
    ) -> _Wanted:
        pipeline, chosen = await self.service.choose(asked, model, texts_of(settings), caller)
        given = dict(chosen) | ({PREVIEW.lower(): True} if PREVIEW in pipeline.settings else {})
        several = count if isinstance(count, int) and SEED in pipeline.settings else 1
        return _Wanted(asked, pipeline, given, min(max(several, 1), MOST_RESULTS))

    async def _keep(self, holder: str, wanted: _Wanted, finished: Finished[Any], settings: Mapping[str, str]) -> None:
        """Keeps a result among those of whoever has signed in."""
        if self.histories is not None:
            model = wanted.pipeline.model
            await self.histories.keep(holder, wanted.request, finished.answer, model, settings)

    async def _events(
        self, wanted: _Wanted, number: int, caller: Caller, room: Room
    ) -> AsyncGenerator[Event | Finished[Any]]:
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

    def _progress(self, event: Event, number: int, count: int, going: str, say: Language) -> Update:
        def told(text: str) -> str:
            return text if count == 1 else say("going.result", number=number + 1, total=count, text=text)

        if isinstance(event, Restarted):
            return self.parts.telling(messages.progress(told(say("going.restarted"))))
        if isinstance(event, Queued):
            waiting = say("going.waiting", position=event.position) if event.position else going
            return self.parts.telling(messages.progress(told(waiting)))
        said = told(say("going.step", step=event.step, total=event.total))
        status = messages.progress(said, (number + event.step / event.total) / count)
        if event.preview is None:
            return self.parts.telling(status)
        return self.parts.stepping(messages.picture(event.preview, said), status)

    def _result(
        self, tab: TabState | None, mode: Mode, wanted: _Wanted, finished: Finished[Any], number: int
    ) -> TabState | None:
        """The tab with one more result, or several candidates; the first takes the place of those before.

        Where no photograph was given, the result is the tab's photograph from then on.
        """
        answer, given = finished.answer, vars(wanted.request)
        if _found_nothing([finished]):
            return tab
        results = tuple(
            Result(self.folder.write(f"{mode.file}.png", encoded), self._small("after.jpg", encoded), answer.seed)
            for encoded in (answer.image, *getattr(answer, "candidates", ()))
        )
        if number > 0 and tab is not None:
            return replace(tab, results=(*tab.results, *results))
        if tab is None or not mode.takes("image"):
            photograph = self.take(results[0].path, answer.image)
            return TabState(photograph, way=self.first_way(), compared=True, results=results)
        mask = getattr(answer, "mask", None) or tab.mask
        if given.get("mask") is not None:
            mask = read_encoded(given["mask"])
        before = self._small("before.jpg", read_encoded(given["image"]), mode.request.SCALE)
        words = (given.get("text") if mode.words == "part" else None) or tab.words
        return replace(tab, mask=mask, words=words, compared=True, before=before, results=results, chosen=0)

    def _of_result(self, tab: TabState) -> TabState:
        """The tab with the result that is kept as its photograph."""
        path = tab.results[tab.chosen].path
        return replace(tab, photograph=self.take(path, read_again(path)))

    def _compared(self, tab: TabState | None, mode: Mode, finished: list[Finished[Any]], say: Language) -> Update:
        answer = finished[-1].answer
        if tab is None or _found_nothing(finished):
            return self.parts.showing(tab, messages.note(messages.found(0, answer.truncated, say)), mode=mode)
        seconds = sum(each.seconds["inference"] for each in finished)
        is_cut = mode.words == "picture" and answer.truncated
        said = messages.finished(seconds, tab.results[0].seed, say, compared=tab.before is not None, truncated=is_cut)
        return self.parts.comparing(tab, say, messages.note(said))

    def _small(self, name: str, encoded: bytes, scale: int = 1) -> Path:
        """A copy to be shown; of what is compared with something larger, as large as that is."""
        return self.folder.write(name, copy_of(encoded, self.service.everyone.limits, SHOWN_SIDE, scale).jpeg)


def _found_nothing(finished: list[Finished[Any]]) -> bool:
    return getattr(finished[-1].answer, "score", None) == 0


def _asked(mode: Mode, tab: TabState | None, layers: list[Path] | None, text: str, say: Language) -> Request[Any]:
    """The request; without layers it is made with words, whatever is marked.

    Raises:
        Problem: something is missing that it needs.
    """
    given: dict[str, Any] = {}
    names_part = mode.takes("text") and mode.words == "part"
    if tab is not None and mode.takes("image"):
        given["image"] = tab.photograph.encoded()
        mask = tab.marked(layers, text if names_part else "") if layers is not None else None
        if mask is None and mode.needs("mask"):
            raise Problem("missing_field", say("mark.missing"), field="mask")
        if mask is not None:
            given["mask"] = mask
    if mode.takes("text") and not (names_part and "mask" in given):
        given["text"] = needed(text, say(f"mode.{mode.name}.missing"))
    return mode.request(**given)
