"""Which handler answers what a person does."""

from collections.abc import Callable
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
    drop, mark, result, panel = parts.drop, parts.mark, parts.result, parts.panel
    messages = [panel.status, drop.message]
    models = [panel.model, panel.advanced, panel.settings, *messages]
    chosen = [panel.model, panel.settings]
    point = [parts.tab, parts.point, drop.file, panel.find, panel.again, panel.text, *messages]
    marking = [*point, mark.editor]
    comparing = [*point, parts.watch.preview, result.slider, result.handle, result.picture, result.mask]

    def on(
        event: Callable[..., Any], handler: Callable[..., Any], inputs: Any, outputs: Any, js: str | None = None
    ) -> Any:
        # Handlers get what the browser sent: the editor would decode and write again every picture of it. Messages and
        # buttons say how it goes, in the place of Gradio's own veil over the outputs.
        return event(
            handler,
            inputs,
            outputs,
            preprocess=False,
            js=js,
            show_progress="hidden",
            show_progress_on=panel.status,
            api_visibility="private",
        )

    on(blocks.load, handlers.poll, chosen, models)
    on(panel.model.input, handlers.poll, chosen, models)

    opened = [on(drop.file.upload, handlers.open, [drop.file], marking)]
    for example, button in zip(EXAMPLES, drop.examples, strict=True):
        opened.append(on(button.click, partial(handlers.open_example, example), None, marking))
    for event in opened:
        on(event.then, handlers.poll, chosen, models)
    on(panel.again.click, handlers.again, None, point)

    for button, change, done in (
        (mark.fill, filled, "What the line goes around is marked."),
        (mark.box, boxed, "The rectangle is marked."),
        (mark.clear, cleared, "Nothing is marked."),
    ):
        on(button.click, partial(handlers.redraw, change, done), [parts.tab, mark.editor], marking)
    on(result.adjust.click, handlers.adjust, [parts.tab], marking)

    asked = partial(gr.on, [panel.find.click, panel.text.submit])
    on(asked, handlers.find, [parts.tab, panel.text], marking).then(None, js=_SHOW_STAGE)
    wanted = [parts.tab, mark.editor, panel.text, panel.model, panel.settings]
    on(panel.harmonize.click, handlers.harmonize, wanted, comparing, js=READ_FORM).then(None, js=_SHOW_STAGE)
    on(panel.cancel.click, handlers.cancel, None, None)
    blocks.unload(handlers.cancel)
    result.handle.input(None, result.handle, result.slider, js=_MOVE_HANDLE, api_visibility="private")
