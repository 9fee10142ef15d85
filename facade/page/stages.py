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
    """Updates of one page's parts.

    Args:
        parts: what is on the page.
    """

    def __init__(self, parts: Parts) -> None:
        self._parts = parts
        self._panel = parts.panel

    def dropping(self, status: str = "") -> Update:
        """A place to drop a photograph."""
        return {
            **self._at("drop"),
            self._parts.tab: None,
            self._parts.drop.file: None,
            self._parts.drop.message: status,
            self._panel.text: "",
        }

    def marking(self, tab: TabState, layer: Path | None, status: str) -> Update:
        """The photograph in the editor, with what is marked."""
        layers = [] if layer is None else [str(layer)]
        return {
            **self._at("mark"),
            self._parts.tab: tab,
            self._parts.mark.editor: {"background": str(tab.photograph.canvas), "layers": layers, "composite": None},
            self._panel.status: status,
        }

    def beginning(self, tab: TabState, status: str) -> Update:
        """Something was begun that can be cancelled."""
        return {**self._at(_shown(tab), busy=True), self._panel.status: status}

    def stepping(self, preview: str, status: str) -> Update:
        """The picture as it is after a step."""
        return {
            **self._at("watch", busy=True),
            self._parts.watch.preview: preview,
            self._panel.status: status,
        }

    def comparing(
        self, tab: TabState, pictures: tuple[Path, Path], downloads: tuple[Path, Path], status: str
    ) -> Update:
        """Before and after, and the files to be taken home: the picture and the mask."""
        result, percent = self._parts.result, round(100 * tab.centre())
        return {
            **self._at("result"),
            self._parts.tab: tab,
            result.slider: gr.update(value=tuple(map(str, pictures)), slider_position=percent),
            result.handle: percent,
            result.picture: str(downloads[0]),
            result.mask: str(downloads[1]),
            self._panel.status: status,
        }

    def back(self, tab: TabState, status: str) -> Update:
        """What was shown before something was begun that came to nothing."""
        return {**self._at(_shown(tab)), self._panel.status: status}

    def saying(self, text: str) -> Update:
        """Words in the field for them."""
        return {self._panel.text: text}

    def telling(self, status: str) -> Update:
        """Only a message."""
        return {self._panel.status: status, self._parts.drop.message: status}

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
            self._panel.model: gr.update(choices=choices, value=name),
            self._panel.advanced: gr.update(visible=bool(settings)),
            **({} if settings == form else {self._panel.settings: settings}),
        }

    def _at(self, stage: Stage, busy: bool = False) -> Update:
        return {
            self._parts.point: messages.point(stage, busy),
            self._panel.find: gr.update(interactive=not busy),
            self._panel.again: gr.update(interactive=not busy),
        }


def _shown_settings(model: PublicModel) -> list[ModelSetting]:
    """All but the previews, which the page always shows."""
    return [each for each in model.settings if each.name != PREVIEW.lower()]


def _shown(tab: TabState) -> Stage:
    return "result" if tab.compared else "mark"
