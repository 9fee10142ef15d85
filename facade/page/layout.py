"""What is on the page, where, and how it looks at each point of a tab. What it does is in :mod:`facade.page.handlers`.

On the left is a stage with one thing at a time: a place for the photograph, the photograph to be marked, the steps, the
result. On the right is what can be asked for. Which of it is to be seen, the style sheet tells by the point at which a
tab is; Gradio's own way of hiding would have the browser send what is painted with every change.
"""

from pathlib import Path
from typing import Any, Literal, TypeAlias

import gradio as gr

from concord_client.catalogue import PREVIEW
from facade.page import messages
from facade.page.examples import EXAMPLES
from facade.page.folder import KEPT_SECONDS
from facade.page.tab_state import COLOUR, OPACITY, TabState
from facade.work.catalogue import PublicModel

Update: TypeAlias = dict[Any, Any]
"""Component to its new value or properties."""

Stage: TypeAlias = Literal["drop", "mark", "watch", "result"]

_HEADER = """
<h1>Concord</h1>
<p>An object pasted into a photo often has the wrong light and colour. Name it or paint over it, and get the photo back
with that object matched to the rest. No other pixel changes.</p>
"""

_GUIDE = f"""
<ol>
  <li><strong>Bring a photograph</strong> with something in it that came from elsewhere.</li>
  <li><strong>Say what it is</strong>, or paint over it.</li>
  <li><strong>Compare</strong> before and after, and take it home in full size.</li>
</ol>
<p>Your photograph stays on this server, and is deleted {round(KEPT_SECONDS / 60)} minutes after its last use.</p>
"""


class Parts:
    """Everything on the page that handlers read or change, and its updates; to be made within a ``gr.Blocks``.

    `sign_out` is where those go who have signed in and leave; None where nobody signs in.
    """

    def __init__(self, sign_out: str | None) -> None:
        leave = f'<a href="{sign_out}">Sign out</a>' if sign_out else ""
        gr.HTML(_HEADER + leave, elem_id="header", padding=False)
        with gr.Row(elem_id="work"):
            with gr.Column(scale=7, min_width=320, elem_id="stage"):
                self.point = gr.HTML(messages.point("drop", busy=False), elem_id="point", padding=False)
                self._lay_drop()
                self._lay_mark()
                with gr.Column(elem_id="watch-stage", elem_classes="stage"):
                    self.preview = gr.HTML(elem_id="preview", padding=False)
                self._lay_result()
            with gr.Column(scale=4, min_width=300, elem_id="panel"):
                self._lay_panel()
        self.tab = gr.State()

    def _lay_drop(self) -> None:
        with gr.Column(elem_id="drop-stage", elem_classes="stage"):
            self.file = gr.File(label="Your photograph", file_types=["image"], height=300, elem_id="drop")
            self.message = gr.HTML(elem_id="message", padding=False)
            gr.HTML("<p>Or try one of these:</p>", elem_id="invitation", padding=False)
            with gr.Row(elem_id="examples"):
                self.examples = [
                    gr.Button(each.text, icon=each.path, min_width=80, elem_classes="example") for each in EXAMPLES
                ]

    def _lay_mark(self) -> None:
        with gr.Column(elem_id="mark-stage", elem_classes="stage"):
            ink = (f"rgb{COLOUR}", OPACITY)
            self.editor = gr.ImageEditor(
                label="Paint over it",
                height=560,
                sources=(),
                transforms=(),
                layers=gr.LayerOptions(allow_additional_layers=False, disabled=True),
                brush=gr.Brush(colors=[ink], default_color=ink, color_mode="fixed"),
                buttons=[],
                format="png",
                elem_id="editor",
            )
            with gr.Row(elem_id="tools"):
                self.fill = gr.Button("Fill the outline", size="sm", min_width=90, elem_id="fill")
                self.box = gr.Button("Make a rectangle", size="sm", min_width=90, elem_id="box")
                self.clear = gr.Button("Clear", size="sm", min_width=90, elem_id="clear")

    def _lay_result(self) -> None:
        with gr.Column(elem_id="result-stage", elem_classes="stage"):
            self.slider = gr.ImageSlider(
                label="Before and after", interactive=False, max_height=640, buttons=["fullscreen"], elem_id="slider"
            )
            # The handle in the picture is for pointers only.
            self.handle = gr.Slider(
                0, 100, 50, step=1, label="Compare: percent of before", buttons=[], elem_id="handle"
            )
            with gr.Row(elem_id="downloads"):
                self.picture = gr.DownloadButton("Download the picture", variant="primary", elem_id="download-picture")
                self.mask = gr.DownloadButton("Download the mask", elem_id="download-mask")
                self.adjust = gr.Button("Change the mark", elem_id="adjust")

    def _lay_panel(self) -> None:
        gr.HTML(_GUIDE, elem_id="guide", padding=False)
        with gr.Column(elem_id="controls"):
            with gr.Group(elem_id="words"):
                self.text = gr.Textbox(
                    label="What is out of place?",
                    info="In words, or paint over it in the photograph.",
                    placeholder="the teddy bear",
                    max_lines=2,
                    elem_id="text",
                )
                self.find = gr.Button("Find it", elem_id="find")
            self.model = gr.Radio(label="Model", elem_id="model")
            with gr.Accordion("Advanced", open=False, elem_id="advanced") as self.advanced:
                self.settings = gr.HTML(elem_id="settings", padding=False)
            self.harmonize = gr.Button("Harmonize", variant="primary", size="lg", elem_id="harmonize")
            self.cancel = gr.Button("Cancel", size="lg", elem_id="cancel")
            self.status = gr.HTML(elem_id="status", padding=False)
            self.again = gr.Button("Another photograph", elem_id="again")

    def dropping(self, message: str = "") -> Update:
        """A place to drop a photograph."""
        return {**self._at("drop"), self.tab: None, self.file: None, self.message: message, self.text: ""}

    def marking(self, tab: TabState, layer: Path | None, status: str) -> Update:
        """The photograph in the editor, with what is marked."""
        layers = [] if layer is None else [str(layer)]
        editor = {"background": str(tab.photograph.canvas), "layers": layers, "composite": None}
        return {**self._at("mark", status), self.tab: tab, self.editor: editor}

    def showing(self, tab: TabState, status: str, *, busy: bool = False) -> Update:
        """What is there of a tab; busy where something was begun that can be cancelled."""
        return self._at("result" if tab.compared else "mark", status, busy=busy)

    def stepping(self, preview: str, status: str) -> Update:
        """The picture as it is after a step."""
        return {**self._at("watch", status, busy=True), self.preview: preview}

    def comparing(
        self, tab: TabState, pictures: tuple[Path, Path], downloads: tuple[Path, Path], status: str
    ) -> Update:
        """Before and after, and the files to be taken home: the picture and the mask."""
        percent = round(100 * tab.centre())
        return {
            **self._at("result", status),
            self.tab: tab,
            self.slider: gr.update(value=tuple(map(str, pictures)), slider_position=percent),
            self.handle: percent,
            self.picture: str(downloads[0]),
            self.mask: str(downloads[1]),
        }

    def telling(self, status: str) -> Update:
        """Only a message."""
        return {self.status: status, self.message: status}

    def choosing(self, loaded: list[PublicModel], chosen: str | None, form: str) -> Update:
        """The models there are; the chosen one if it is among them, else the first; and its settings.

        A form with the fields that are shown is left as it is, with what was typed into it.
        """
        names = [model.name for model in loaded]
        name = chosen if chosen in names else next(iter(names), None)
        choices = [(f"{model.name}: {model.description}", model.name) for model in loaded]
        settings = next((model.settings for model in loaded if model.name == name), [])
        # Previews are always shown.
        fields = messages.form_of([each for each in settings if each.name != PREVIEW.lower()])
        return {
            self.model: gr.update(choices=choices, value=name),
            self.advanced: gr.update(visible=bool(fields)),
            **({} if fields == form else {self.settings: fields}),
        }

    def _at(self, stage: Stage, status: str | None = None, *, busy: bool = False) -> Update:
        return {
            self.point: messages.point(stage, busy),
            self.find: gr.update(interactive=not busy),
            self.again: gr.update(interactive=not busy),
            **({} if status is None else {self.status: status}),
        }
