"""What is on the page, and where. What it does is in :mod:`facade.page.handlers`.

On the left is a stage with one thing at a time: a place for the photograph, the photograph to be marked, the steps, the
result. On the right is what can be asked for. Which of it is to be seen, the style sheet tells by the point at which a
tab is; Gradio's own way of hiding would have the browser send what is painted with every change.
"""

from dataclasses import dataclass

import gradio as gr

from facade.page.examples import EXAMPLES
from facade.page.folder import KEPT_SECONDS
from facade.page.masks import COLOUR, OPACITY
from facade.page.messages import point

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


@dataclass(frozen=True)
class Drop:
    """Where a photograph comes in."""

    file: gr.File
    message: gr.HTML
    examples: tuple[gr.Button, ...]


@dataclass(frozen=True)
class Mark:
    """Where it is marked."""

    editor: gr.ImageEditor
    fill: gr.Button
    box: gr.Button
    clear: gr.Button


@dataclass(frozen=True)
class Watch:
    """Where its steps are watched."""

    preview: gr.HTML


@dataclass(frozen=True)
class Result:
    """Where before and after are compared, and taken home."""

    slider: gr.ImageSlider
    handle: gr.Slider
    picture: gr.DownloadButton
    mask: gr.DownloadButton
    adjust: gr.Button


@dataclass(frozen=True)
class Panel:
    """What can be asked for, and how it goes."""

    text: gr.Textbox
    find: gr.Button
    model: gr.Radio
    advanced: gr.Accordion
    settings: gr.HTML
    harmonize: gr.Button
    cancel: gr.Button
    status: gr.HTML
    again: gr.Button


@dataclass(frozen=True)
class Parts:
    """Everything on the page that handlers read or change."""

    tab: gr.State
    point: gr.HTML
    drop: Drop
    mark: Mark
    watch: Watch
    result: Result
    panel: Panel


def lay_out(sign_out: str | None) -> Parts:
    """Puts everything in its place; to be called within a ``gr.Blocks``.

    Args:
        sign_out: where those go who have signed in and leave; None where nobody signs in.
    """
    leave = f'<a href="{sign_out}">Sign out</a>' if sign_out else ""
    gr.HTML(_HEADER + leave, elem_id="header", padding=False)
    with gr.Row(elem_id="work"):
        with gr.Column(scale=7, min_width=320, elem_id="stage"):
            at = gr.HTML(point("drop", busy=False), elem_id="point", padding=False)
            drop, mark, watch, result = _drop(), _mark(), _watch(), _result()
        with gr.Column(scale=4, min_width=300, elem_id="panel"):
            panel = _panel()
    return Parts(gr.State(), at, drop, mark, watch, result, panel)


def _drop() -> Drop:
    with gr.Column(elem_id="drop-stage", elem_classes="stage"):
        file = gr.File(label="Your photograph", file_types=["image"], height=300, elem_id="drop")
        message = gr.HTML(elem_id="message", padding=False)
        gr.HTML("<p>Or try one of these:</p>", elem_id="invitation", padding=False)
        with gr.Row(elem_id="examples"):
            examples = tuple(
                gr.Button(example.text, icon=example.path, min_width=80, elem_classes="example") for example in EXAMPLES
            )
    return Drop(file, message, examples)


def _mark() -> Mark:
    with gr.Column(elem_id="mark-stage", elem_classes="stage"):
        ink = (f"rgb{COLOUR}", OPACITY)
        editor = gr.ImageEditor(
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
            fill = gr.Button("Fill the outline", size="sm", min_width=90, elem_id="fill")
            box = gr.Button("Make a rectangle", size="sm", min_width=90, elem_id="box")
            clear = gr.Button("Clear", size="sm", min_width=90, elem_id="clear")
    return Mark(editor, fill, box, clear)


def _watch() -> Watch:
    with gr.Column(elem_id="watch-stage", elem_classes="stage"):
        preview = gr.HTML(elem_id="preview", padding=False)
    return Watch(preview)


def _result() -> Result:
    with gr.Column(elem_id="result-stage", elem_classes="stage"):
        slider = gr.ImageSlider(
            label="Before and after", interactive=False, max_height=640, buttons=["fullscreen"], elem_id="slider"
        )
        # The handle in the picture is for pointers only.
        handle = gr.Slider(0, 100, 50, step=1, label="Compare: percent of before", buttons=[], elem_id="handle")
        with gr.Row(elem_id="downloads"):
            picture = gr.DownloadButton("Download the picture", variant="primary", elem_id="download-picture")
            mask = gr.DownloadButton("Download the mask", elem_id="download-mask")
            adjust = gr.Button("Change the mark", elem_id="adjust")
    return Result(slider, handle, picture, mask, adjust)


def _panel() -> Panel:
    gr.HTML(_GUIDE, elem_id="guide", padding=False)
    with gr.Column(elem_id="controls"):
        with gr.Group(elem_id="words"):
            text = gr.Textbox(
                label="What is out of place?",
                info="In words, or paint over it in the photograph.",
                placeholder="the teddy bear",
                max_lines=2,
                elem_id="text",
            )
            find = gr.Button("Find it", elem_id="find")
        model = gr.Radio(label="Model", elem_id="model")
        with gr.Accordion("Advanced", open=False, elem_id="advanced") as advanced:
            settings = gr.HTML(elem_id="settings", padding=False)
        harmonize = gr.Button("Harmonize", variant="primary", size="lg", elem_id="harmonize")
        cancel = gr.Button("Cancel", size="lg", elem_id="cancel")
        status = gr.HTML(elem_id="status", padding=False)
        again = gr.Button("Another photograph", elem_id="again")
    return Panel(text, find, model, advanced, settings, harmonize, cancel, status, again)
