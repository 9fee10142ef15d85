"""Which handler answers what a person does."""

from functools import partial
from typing import Any

import gradio as gr

from facade.page.examples import EXAMPLES
from facade.page.handlers import Handlers
from facade.page.layout import Parts
from facade.page.masks import boxed, cleared, filled
from facade.page.settings_form import READ_FORM

_SHOW_STAGE = """() => document.querySelector("#stage").scrollIntoView({behavior: "smooth", block: "nearest"})"""
"""On a phone the stage is above what was pressed."""

_MOVE_HANDLE = """(percent) => ({__type__: "update", slider_position: percent})"""


def connect(blocks: gr.Blocks, parts: Parts, handlers: Handlers) -> None:
    """Connects the page's parts with their handlers; to be called within the ``gr.Blocks``."""
    messages = [parts.status, parts.message]
    models = [parts.model, parts.advanced, parts.settings, *messages]
    chosen = [parts.model, parts.settings]
    point = [parts.tab, parts.point, parts.file, parts.find, parts.again, parts.text, *messages]
    marking = [*point, parts.editor]
    comparing = [*point, parts.preview, parts.slider, parts.handle, parts.picture, parts.mask]

    # Handlers get what the browser sent: the editor would decode and write again every picture of it. Messages and
    # buttons say how it goes, in the place of Gradio's own veil over the outputs.
    shared: dict[str, Any] = {
        "preprocess": False,
        "show_progress": "hidden",
        "show_progress_on": parts.status,
        "api_visibility": "private",
    }
    blocks.load(handlers.poll, chosen, models, **shared)
    parts.model.input(handlers.poll, chosen, models, **shared)

    opened = [parts.file.upload(handlers.open, [parts.file], marking, **shared)]
    for example, button in zip(EXAMPLES, parts.examples, strict=True):
        opened.append(button.click(partial(handlers.open_example, example), None, marking, **shared))
    for event in opened:
        event.then(handlers.poll, chosen, models, **shared)
    parts.again.click(handlers.again, None, point, **shared)

    for button, change, done in (
        (parts.fill, filled, "What the line goes around is marked."),
        (parts.box, boxed, "The rectangle is marked."),
        (parts.clear, cleared, "Nothing is marked."),
    ):
        button.click(partial(handlers.redraw, change, done), [parts.tab, parts.editor], marking, **shared)
    parts.adjust.click(handlers.adjust, [parts.tab], marking, **shared)

    asked = [parts.find.click, parts.text.submit]
    gr.on(asked, handlers.find, [parts.tab, parts.text], marking, **shared).then(None, js=_SHOW_STAGE)
    wanted = [parts.tab, parts.editor, parts.text, parts.model, parts.settings]
    parts.harmonize.click(handlers.harmonize, wanted, comparing, js=READ_FORM, **shared).then(None, js=_SHOW_STAGE)
    parts.cancel.click(handlers.cancel, None, None, **shared)
    blocks.unload(handlers.cancel)
    parts.handle.input(None, parts.handle, parts.slider, js=_MOVE_HANDLE, api_visibility="private")
