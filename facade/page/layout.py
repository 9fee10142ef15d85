"""What is on the page, and where. How it looks at each point of a tab is in :mod:`facade.page.updates`.

On the left is a stage with one thing at a time: a place for the photograph, the photograph to be marked, the steps, the
result. On the right is what can be asked for. Which of it is to be seen, the style sheets tell by the point at which a
tab is, and by the mode; Gradio's own way of hiding would have the browser send what is painted with every change.
"""

from collections.abc import Mapping
from typing import Any, Literal, TypeAlias

import gradio as gr
from gradio.i18n import I18nData

from concord_client.composition import STRENGTH
from facade.page import pointing
from facade.page.downloads import FORMS
from facade.page.examples import EXAMPLES
from facade.page.folder import KEPT_SECONDS
from facade.page.languages import LANGUAGES, Language
from facade.page.marks import COLOUR, OPACITY
from facade.page.modes import MODES, Mode
from facade.page.tab_state import Way

Stage: TypeAlias = Literal["drop", "write", "mark", "watch", "result"]

MOST_RESULTS = 4
"""Of one press, of a model that draws noise."""

Said: Any = I18nData
"""A sentence by its key, for the browser to put in; Gradio's types leave it out in some places."""

_HEADER = "header"
"""Key of what is put together of several sentences."""


def sentences(language: Language, links: Mapping[str, str]) -> dict[str, str]:
    """What the browser puts in the page's places in this language; `links` are as in `Parts`."""
    ways = "".join(f'<a href="{path}">{language(key)}</a>' for path, key in links.items())
    nav = f'<nav aria-label="{language("own.nav")}">{ways}</nav>' if ways else ""
    whole = {key: text for key, text in language.table.items() if "{" not in text}
    return whole | {_HEADER: f"<h1>Concord</h1>{nav}"}


def guide(mode: Mode, language: Language) -> str:
    """How it is gone about, as HTML."""
    keys = [f"mode.{mode.name}.{step}" for step in ("bring", "mark", "compare")]
    steps = "".join(f"<li>{language(key)}</li>" for key in keys if key in language.table)
    return f"<ol>{steps}</ol><p>{language('guide.kept', minutes=round(KEPT_SECONDS / 60))}</p>"


class Parts:
    """Everything on the page that handlers read or change, and its updates; to be made within a ``gr.Blocks``.

    `links` are the other pages of those who have signed in, their words by key; none where nobody signs in. `keeps` is
    whether results can be kept.
    """

    def __init__(self, links: Mapping[str, str], *, keeps: bool = False) -> None:
        self.translations = {each.tag: sentences(each, links) for each in LANGUAGES.values()}
        self._keeps = keeps
        gr.HTML(Said(_HEADER), elem_id="header", padding=False)
        self.title = gr.HTML(Said(f"mode.{MODES[0].name}.title"), elem_id="title", padding=False)
        self.mode = gr.Radio(label=Said("mode"), container=False, elem_id="mode")
        with gr.Row(elem_id="work"):
            with gr.Column(scale=7, min_width=320, elem_id="stage"):
                self.point = gr.HTML(point("drop", busy=False), elem_id="point", padding=False)
                self._lay_drop()
                with gr.Column(elem_id="write-stage", elem_classes="stage"):
                    self.frame = gr.HTML(elem_id="frame", padding=False)
                self._lay_mark()
                with gr.Column(elem_id="watch-stage", elem_classes="stage"):
                    self.preview = gr.HTML(elem_id="preview", padding=False)
                self._lay_result()
            with gr.Column(scale=4, min_width=300, elem_id="panel"):
                self._lay_panel()
        self.tab = gr.State()
        self.served = gr.HTML(elem_id="served", padding=False)
        self.taken = gr.File(elem_id="taken", visible="hidden")

    def _lay_drop(self) -> None:
        with gr.Column(elem_id="drop-stage", elem_classes="stage"):
            self.file = gr.File(label=Said("bring.label"), file_types=["image"], height=220, elem_id="drop")
            gr.HTML(Said("bring.drop"), elem_id="drop-words", padding=False)
            self.message = gr.HTML(elem_id="message", padding=False)
            gr.HTML(Said("bring.examples"), elem_id="invitation", padding=False)
            with gr.Row(elem_id="examples"):
                self.examples = [
                    gr.Button(Said(each.title), icon=each.path, min_width=80, elem_classes="example")
                    for each in EXAMPLES
                ]

    def _lay_mark(self) -> None:
        with gr.Column(elem_id="mark-stage", elem_classes="stage"):
            with gr.Row(elem_id="ways", elem_classes="tools"):
                self.to_point = _tool("mark.point", "to-point")
                self.to_brush = _tool("mark.brush", "to-brush")
                self.subject = _tool("mark.subject", "subject")
                self.mask_file = gr.UploadButton(
                    Said("mark.file"), file_types=["image"], size="sm", min_width=90, elem_id="mask-file"
                )
            self.pointing = gr.HTML(elem_id="pointing", padding=False, js_on_load=pointing.ON_LOAD)
            ink = (f"rgb{COLOUR}", OPACITY)
            self.editor = gr.ImageEditor(
                label=Said("mark.paint"),
                height=520,
                # A layer that is smaller than the canvas at the beginning would be put in its middle.
                canvas_size=(16, 16),
                sources=(),
                transforms=(),
                layers=gr.LayerOptions(allow_additional_layers=False, disabled=True),
                brush=gr.Brush(colors=[ink], default_color=ink, color_mode="fixed"),
                buttons=[],
                format="png",
                elem_id="editor",
            )
            with gr.Row(elem_id="tools", elem_classes="tools"):
                self.guess_again = _tool("mark.next", "guess-again")
                self.fill = _tool("mark.fill", "fill")
                self.rectangle = _tool("mark.rectangle", "box")
                self.ellipse = _tool("mark.ellipse", "ellipse")
                self.uneven = _tool("mark.uneven", "uneven")
                self.clear = _tool("mark.clear", "clear")
                self.away = gr.Checkbox(label=Said("mark.away"), container=False, min_width=150, elem_id="away")

    def _lay_result(self) -> None:
        with gr.Column(elem_id="result-stage", elem_classes="stage"):
            self.slider = gr.ImageSlider(
                label=Said("result.compare"),
                interactive=False,
                max_height=480,
                buttons=["fullscreen"],
                elem_id="slider",
            )
            self.alone = gr.HTML(elem_id="alone", padding=False)
            # The handle in the picture is for pointers only.
            self.handle = gr.Slider(0, 100, 50, step=1, label=Said("result.handle"), buttons=[], elem_id="handle")
            gr.HTML(Said("result.several"), elem_id="several", padding=False)
            self.results = gr.Gallery(
                show_label=False,
                columns=MOST_RESULTS,
                height="auto",
                allow_preview=False,
                buttons=[],
                object_fit="cover",
                elem_id="results",
            )
            strength: Any = STRENGTH
            self.strength = gr.Slider(
                strength.lowest,
                strength.highest,
                strength.default,
                step=0.05,
                label=Said("result.strength"),
                info=Said("result.strength_info"),
                buttons=[],
                elem_id="strength",
            )
            with gr.Row(elem_id="downloads", elem_classes="tools"):
                self.downloads = {
                    form: gr.Button(
                        Said(f"result.{form}"),
                        variant="primary" if form == "picture" else "secondary",
                        size="md",
                        min_width=90,
                        elem_id=f"download-{form}",
                    )
                    for form in FORMS
                }
                self.adjust = gr.Button(Said("result.change"), size="md", min_width=90, elem_id="adjust")

    def _lay_panel(self) -> None:
        self.guide = gr.HTML(elem_id="guide", padding=False)
        with gr.Column(elem_id="controls"):
            with gr.Group(elem_id="words"):
                self.text = gr.Textbox(
                    label=Said(f"mode.{MODES[0].name}.words"),
                    info=Said(f"mode.{MODES[0].name}.info"),
                    placeholder=Said(f"mode.{MODES[0].name}.example"),
                    max_lines=2,
                    elem_id="text",
                )
                self.find = gr.Button(Said("words.find"), elem_id="find")
            self.model = gr.Radio(label=Said("ask.model"), elem_id="model")
            self.count = gr.Radio(
                list(range(1, MOST_RESULTS + 1)),
                value=1,
                label=Said("ask.results"),
                info=Said("ask.results_info"),
                visible=False,
                elem_id="count",
            )
            with gr.Accordion(Said("ask.advanced"), open=False, elem_id="advanced") as self.advanced:
                self.settings = gr.HTML(elem_id="settings", padding=False)
            self.keep = gr.Checkbox(
                label=Said("keep"), info=Said("keep.info"), value=False, visible=self._keeps, elem_id="keep"
            )
            self.press = gr.Button(Said(f"mode.{MODES[0].name}.press"), variant="primary", size="lg", elem_id="press")
            self.cancel = gr.Button(Said("ask.cancel"), size="lg", elem_id="cancel")
            self.status = gr.HTML(elem_id="status", padding=False)
            self.again = gr.Button(Said("ask.another"), elem_id="again")


def _tool(key: str, elem_id: str) -> gr.Button:
    return gr.Button(Said(key), size="sm", min_width=90, elem_id=elem_id)


def point(stage: Stage, *, busy: bool, way: Way = "brush", several: bool = False) -> str:
    """Where a tab is, for the style sheets."""
    told = {"stage": stage, "way": way, "busy": str(busy).lower(), "several": str(several).lower()}
    said = "".join(f' data-{name}="{value}"' for name, value in told.items())
    return f"<i{said}></i>"
