"""How the page looks at each point of a tab: what changes of its parts.

What it does is in :mod:`facade.page.handlers`.
"""

from pathlib import Path
from typing import Any, TypeAlias

import gradio as gr

from concord_client.catalogue import SEED
from concord_client.composition import STRENGTH
from concord_client.tasks.segment import Segment
from concord_client.tasks.select import Select
from facade.page import messages
from facade.page.form import form_of
from facade.page.languages import Language
from facade.page.layout import Parts, Stage, guide, point
from facade.page.modes import MODES, Mode, mode_of, served
from facade.page.tab_state import TabState, Way
from facade.work.catalogue import PublicModel

Update: TypeAlias = dict[Any, Any]
"""Component to its new value or properties."""


class Updates(Parts):
    """The page's parts with their changes."""

    def dropping(self, message: str = "") -> Update:
        """A place to drop a photograph."""
        return {**self._at("drop"), self.tab: None, self.file: None, self.message: message, self.text: ""}

    def writing(self, tab: TabState | None) -> Update:
        """Words are asked for, and no photograph; that of the tab is kept."""
        return {**self._at("write", ""), self.tab: tab}

    def marking(self, tab: TabState, layer: Path | None, picture: str, status: str) -> Update:
        """The photograph with what is marked: `picture` to be pointed at, or the editor."""
        update = {**self._at("mark", status, way=tab.way), self.tab: tab, self.pointing: picture}
        if tab.way == "brush":
            layers = [] if layer is None else [str(layer)]
            update[self.editor] = {"background": str(tab.photograph.canvas), "layers": layers, "composite": None}
        return update

    def showing(self, tab: TabState | None, status: str, *, mode: Mode = MODES[0], busy: bool = False) -> Update:
        """What is there of a tab; busy where something was begun that can be cancelled."""
        if tab is not None and tab.compared:
            return self._at("result", status, way=tab.way, busy=busy, several=_several(tab))
        stage: Stage = "mark" if mode.takes("image") else "write"
        return self._at(stage, status, way="brush" if tab is None else tab.way, busy=busy)

    def stepping(self, preview: str, status: str) -> Update:
        """The picture as it is after a step."""
        return {**self._at("watch", status, busy=True), self.preview: preview}

    def comparing(self, tab: TabState, say: Language, status: str) -> Update:
        """The result beside the photograph or alone, where there are several the choice, and what is taken home."""
        percent = round(100 * tab.centre())
        copy = tab.results[tab.chosen].copy
        numbered = [(str(each.copy), say("result.number", number=number)) for number, each in enumerate(tab.results, 1)]
        return {
            **self._at("result", status, way=tab.way, several=_several(tab)),
            self.tab: tab,
            self.slider: gr.update(value=tab.before and (str(tab.before), str(copy)), slider_position=percent),
            self.alone: "" if tab.before else messages.file(copy, say("result.alone")),
            self.handle: percent,
            self.strength: STRENGTH.default,
            self.results: gr.update(value=numbered if _several(tab) else [], selected_index=tab.chosen),
        }

    def telling(self, status: str) -> Update:
        """Only a message."""
        return {self.status: status, self.message: status}

    def choosing(
        self, loaded: list[PublicModel], wanted: str | None, chosen: str | None, form: str, say: Language
    ) -> Update:
        """The modes and models there are; those that are wanted and chosen if they are among them, else the first.

        A form with the fields that are shown is left as it is, with what was typed into it.
        """
        modes = served({model.task for model in loaded})
        mode = mode_of(wanted, modes)
        able = [model for model in loaded if model.task == mode.name]
        names = [model.name for model in able]
        name = chosen if chosen in names else next(iter(names), None)
        settings = next((model.settings for model in able if model.name == name), [])
        fields = form_of(settings, say)
        with_strength = any(each.name == STRENGTH.public_name for each in settings)
        return {
            **self._asked_in(mode, say),
            self.mode: gr.update(choices=[(say(f"mode.{each.name}"), each.name) for each in modes], value=mode.name),
            self.model: gr.update(
                choices=[(f"{each.name}: {each.description}", each.name) for each in able], value=name
            ),
            self.served: _served(loaded, mode, several=len(modes) > 1, strength=with_strength),
            self.count: gr.update(visible=any(each.name == SEED.lower() for each in settings)),
            self.advanced: gr.update(visible=bool(fields)),
            **({} if fields == form else {self.settings: fields}),
        }

    def _asked_in(self, mode: Mode, say: Language) -> Update:
        """What is said in a mode."""

        def said(what: str) -> str:
            return say(f"mode.{mode.name}.{what}")

        update: Update = {self.title: f"<p>{said('title')}</p>", self.press: said("press")}
        if mode.takes("image"):
            update[self.guide] = guide(mode, say)
        else:
            update[self.frame] = f"<p>{said('bring')}</p>"
        if mode.words != "none":
            update[self.text] = gr.update(label=said("words"), info=said("info"), placeholder=said("example"))
        return update

    def _at(
        self, stage: Stage, status: str | None = None, *, way: Way = "brush", busy: bool = False, several: bool = False
    ) -> Update:
        asking = gr.update(interactive=not busy)
        return {
            self.point: point(stage, busy=busy, way=way, several=several),
            **dict.fromkeys((self.find, self.again, self.mode), asking),
            **({} if status is None else {self.status: status}),
        }


def _served(loaded: list[PublicModel], mode: Mode, *, several: bool, strength: bool) -> str:
    """What there are models for, and what the mode takes, for the style sheets."""
    pointed = [any(each.name == "points" for each in model.inputs) for model in loaded if model.task == Select.TASK]
    told = {
        "select": any(pointed),
        # A model that is not pointed at finds what the photograph is of.
        "subject": not all(pointed),
        "segment": any(model.task == Segment.TASK for model in loaded),
        "modes": several,
        "strength": strength,
        "photograph": mode.takes("image"),
        "marked": mode.takes("mask"),
        "told": mode.takes("text"),
    }
    said = "".join(f' data-{name}="{str(has).lower()}"' for name, has in told.items())
    return f'<i{said} data-words="{mode.words}" data-mode="{mode.name}"></i>'


def _several(tab: TabState) -> bool:
    return len(tab.results) > 1
