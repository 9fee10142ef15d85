"""What is on the page, where, and how it looks at each point of a tab. What it does is in :mod:`facade.page.handlers`.

On the left is a stage with one thing at a time: a place for the photograph, the photograph to be marked, the steps, the
result. On the right is what can be asked for. Which of it is to be seen, the style sheet tells by the point at which a
tab is; Gradio's own way of hiding would have the browser send what is painted with every change.
"""

from pathlib import Path
from typing import Any, Literal, TypeAlias

import gradio as gr
from gradio.i18n import I18nData

from concord_client.catalogue import SEED
from concord_client.composition import STRENGTH
from concord_client.tasks.harmonize import Harmonize
from concord_client.tasks.segment import Segment
from concord_client.tasks.select import Select
from facade.page import pointing
from facade.page.downloads import FILES
from facade.page.examples import EXAMPLES
from facade.page.folder import KEPT_SECONDS
from facade.page.form import form_of
from facade.page.languages import LANGUAGES, Language
from facade.page.marks import COLOUR, OPACITY
from facade.page.tab_state import TabState, Way
from facade.work.catalogue import PublicModel

Update: TypeAlias = dict[Any, Any]
"""Component to its new value or properties."""

Stage: TypeAlias = Literal["drop", "mark", "watch", "result"]

MOST_RESULTS = 4
"""Of one press, of a model that draws noise."""

Said: Any = I18nData
"""A sentence by its key, for the browser to put in; Gradio's types leave it out in some places."""

_HEADER, _GUIDE = "header", "guide"
"""Keys of what is put together of several sentences."""


def sentences(language: Language, sign_out: str | None) -> dict[str, str]:
    """What the browser puts in the page's places in this language; `sign_out` is as in `Parts`."""
    leave = f'<a href="{sign_out}">{language("sign_out")}</a>' if sign_out else ""
    kept = language("guide.kept", minutes=round(KEPT_SECONDS / 60))
    steps = "".join(f"<li>{language(f'guide.{step}')}</li>" for step in ("bring", "mark", "compare"))
    whole = {key: text for key, text in language.table.items() if "{" not in text}
    return whole | {
        _HEADER: f"<h1>Concord</h1><p>{language('title')}</p>{leave}",
        _GUIDE: f"<ol>{steps}</ol><p>{kept}</p>",
    }


class Parts:
    """Everything on the page that handlers read or change, and its updates; to be made within a ``gr.Blocks``.

    `sign_out` is where those go who have signed in and leave; None where nobody signs in.
    """

    def __init__(self, sign_out: str | None) -> None:
        self.translations = {each.tag: sentences(each, sign_out) for each in LANGUAGES.values()}
        gr.HTML(Said(_HEADER), elem_id="header", padding=False)
        with gr.Row(elem_id="work"):
            with gr.Column(scale=7, min_width=320, elem_id="stage"):
                self.point = gr.HTML(_point("drop", busy=False), elem_id="point", padding=False)
                self._lay_drop()
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
                    for form in FILES
                }
                self.adjust = gr.Button(Said("result.change"), size="md", min_width=90, elem_id="adjust")

    def _lay_panel(self) -> None:
        gr.HTML(Said(_GUIDE), elem_id="guide", padding=False)
        with gr.Column(elem_id="controls"):
            with gr.Group(elem_id="words"):
                self.text = gr.Textbox(
                    label=Said("words.label"),
                    info=Said("words.info"),
                    placeholder=Said("words.placeholder"),
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
            self.harmonize = gr.Button(Said("ask.harmonize"), variant="primary", size="lg", elem_id="harmonize")
            self.cancel = gr.Button(Said("ask.cancel"), size="lg", elem_id="cancel")
            self.status = gr.HTML(elem_id="status", padding=False)
            self.again = gr.Button(Said("ask.another"), elem_id="again")

    def dropping(self, message: str = "") -> Update:
        """A place to drop a photograph."""
        return {**self._at("drop"), self.tab: None, self.file: None, self.message: message, self.text: ""}

    def marking(self, tab: TabState, layer: Path | None, picture: str, status: str) -> Update:
        """The photograph with what is marked: `picture` to be pointed at, or the editor."""
        update = {**self._at("mark", status, way=tab.way), self.tab: tab, self.pointing: picture}
        if tab.way == "brush":
            layers = [] if layer is None else [str(layer)]
            update[self.editor] = {"background": str(tab.photograph.canvas), "layers": layers, "composite": None}
        return update

    def showing(self, tab: TabState, status: str, *, busy: bool = False) -> Update:
        """What is there of a tab; busy where something was begun that can be cancelled."""
        return self._at("result" if tab.compared else "mark", status, way=tab.way, busy=busy, several=_several(tab))

    def stepping(self, preview: str, status: str) -> Update:
        """The picture as it is after a step."""
        return {**self._at("watch", status, busy=True), self.preview: preview}

    def comparing(self, tab: TabState, say: Language, status: str) -> Update:
        """Before and after, where there are several results the choice of one, and what can be taken home."""
        percent = round(100 * tab.centre())
        pictures = (str(tab.before), str(tab.results[tab.chosen].copy))
        numbered = [(str(each.copy), say("result.number", number=number)) for number, each in enumerate(tab.results, 1)]
        return {
            **self._at("result", status, way=tab.way, several=_several(tab)),
            self.tab: tab,
            self.slider: gr.update(value=pictures, slider_position=percent),
            self.handle: percent,
            self.strength: STRENGTH.default,
            self.results: gr.update(value=numbered if _several(tab) else [], selected_index=tab.chosen),
        }

    def telling(self, status: str) -> Update:
        """Only a message."""
        return {self.status: status, self.message: status}

    def choosing(self, loaded: list[PublicModel], chosen: str | None, form: str, say: Language) -> Update:
        """The models there are; the chosen one if it is among them, else the first; and its settings.

        A form with the fields that are shown is left as it is, with what was typed into it.
        """
        able = [model for model in loaded if model.task == Harmonize.TASK]
        names = [model.name for model in able]
        name = chosen if chosen in names else next(iter(names), None)
        choices = [(f"{model.name}: {model.description}", model.name) for model in able]
        settings = next((model.settings for model in able if model.name == name), [])
        fields = form_of(settings, say)
        tasks = {model.task for model in loaded}
        # A model that is not pointed at finds what the photograph is of.
        subject = any(model.task == Select.TASK and not _is_pointed_at(model) for model in loaded)
        pointed = any(model.task == Select.TASK and _is_pointed_at(model) for model in loaded)
        served = {"select": pointed, "subject": subject, "segment": Segment.TASK in tasks}
        told = "".join(f' data-{task}="{str(has).lower()}"' for task, has in served.items())
        return {
            self.model: gr.update(choices=choices, value=name),
            self.served: f"<i{told}></i>",
            self.count: gr.update(visible=any(each.name == SEED.lower() for each in settings)),
            self.advanced: gr.update(visible=bool(fields)),
            **({} if fields == form else {self.settings: fields}),
        }

    def _at(
        self, stage: Stage, status: str | None = None, *, way: Way = "brush", busy: bool = False, several: bool = False
    ) -> Update:
        return {
            self.point: _point(stage, busy=busy, way=way, several=several),
            self.find: gr.update(interactive=not busy),
            self.again: gr.update(interactive=not busy),
            **({} if status is None else {self.status: status}),
        }


def _tool(key: str, elem_id: str) -> gr.Button:
    return gr.Button(Said(key), size="sm", min_width=90, elem_id=elem_id)


def _is_pointed_at(model: PublicModel) -> bool:
    return any(each.name == "points" for each in model.inputs)


def _several(tab: TabState) -> bool:
    return len(tab.results) > 1


def _point(stage: Stage, *, busy: bool, way: Way = "brush", several: bool = False) -> str:
    """Where a tab is, for the style sheet."""
    told = {"stage": stage, "way": way, "busy": str(busy).lower(), "several": str(several).lower()}
    said = "".join(f' data-{name}="{value}"' for name, value in told.items())
    return f"<i{said}></i>"
