"""How the page looks at each point of a tab, as updates of its parts."""

from pathlib import Path
from typing import Any, Literal, TypeAlias

import gradio as gr

from concord_client.catalogue import PREVIEW
from facade.page import messages
from facade.page.layout import Parts
from facade.page.settings_form import form_of
from facade.page.tab_state import TabState
from facade.work.catalogue import ModelSetting, PublicModel

Update: TypeAlias = dict[Any, Any]
"""Component to its new value or properties."""

Stage: TypeAlias = Literal["drop", "mark", "watch", "result"]


class Stages:
    """Updates of one page's parts."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts

    def dropping(self, message: str = "") -> Update:
        """A place to drop a photograph."""
        parts = self._parts
        return {**self._at("drop"), parts.tab: None, parts.file: None, parts.message: message, parts.text: ""}

    def marking(self, tab: TabState, layer: Path | None, status: str) -> Update:
        """The photograph in the editor, with what is marked."""
        layers = [] if layer is None else [str(layer)]
        editor = {"background": str(tab.photograph.canvas), "layers": layers, "composite": None}
        return {**self._at("mark", status), self._parts.tab: tab, self._parts.editor: editor}

    def beginning(self, tab: TabState, status: str) -> Update:
        """Something was begun that can be cancelled."""
        return self._at(_shown(tab), status, busy=True)

    def stepping(self, preview: str, status: str) -> Update:
        """The picture as it is after a step."""
        return {**self._at("watch", status, busy=True), self._parts.preview: preview}

    def comparing(
        self, tab: TabState, pictures: tuple[Path, Path], downloads: tuple[Path, Path], status: str
    ) -> Update:
        """Before and after, and the files to be taken home: the picture and the mask."""
        parts, percent = self._parts, round(100 * tab.centre())
        return {
            **self._at("result", status),
            parts.tab: tab,
            parts.slider: gr.update(value=tuple(map(str, pictures)), slider_position=percent),
            parts.handle: percent,
            parts.picture: str(downloads[0]),
            parts.mask: str(downloads[1]),
        }

    def back(self, tab: TabState, status: str) -> Update:
        """What was shown before something was begun that came to nothing."""
        return self._at(_shown(tab), status)

    def saying(self, text: str) -> Update:
        """Words in the field for them."""
        return {self._parts.text: text}

    def telling(self, status: str) -> Update:
        """Only a message."""
        return {self._parts.status: status, self._parts.message: status}

    def choosing(self, loaded: list[PublicModel], chosen: str | None, form: str) -> Update:
        """The models there are; the chosen one if it is among them, else the first; and its settings.

        Args:
            loaded: models that can be asked.
            chosen: name of the one that was chosen.
            form: of settings that is shown; one with the same fields is left as it is, with what was typed into it.
        """
        names = [model.name for model in loaded]
        name = chosen if chosen in names else next(iter(names), None)
        choices = [(f"{model.name}: {model.description}", model.name) for model in loaded]
        settings = form_of(next((_shown_settings(model) for model in loaded if model.name == name), []))
        return {
            self._parts.model: gr.update(choices=choices, value=name),
            self._parts.advanced: gr.update(visible=bool(settings)),
            **({} if settings == form else {self._parts.settings: settings}),
        }

    def _at(self, stage: Stage, status: str | None = None, *, busy: bool = False) -> Update:
        return {
            self._parts.point: messages.point(stage, busy),
            self._parts.find: gr.update(interactive=not busy),
            self._parts.again: gr.update(interactive=not busy),
            **({} if status is None else {self._parts.status: status}),
        }


def _shown_settings(model: PublicModel) -> list[ModelSetting]:
    """All but the previews, which the page always shows."""
    return [each for each in model.settings if each.name != PREVIEW.lower()]


def _shown(tab: TabState) -> Stage:
    return "result" if tab.compared else "mark"
