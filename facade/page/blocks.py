"""The page as an application of Gradio, below the facade's own routes: its theme, its events, and what is answered."""

from pathlib import Path
from typing import Any

import gradio as gr
from fastapi import FastAPI
from gradio.route_utils import CustomCORSMiddleware
from gradio.routes import App
from starlette.datastructures import State
from starlette.routing import Mount

from facade.access.keys import Keys
from facade.page.account.paths import ACCOUNT, GALLERY
from facade.page.asking import Asking
from facade.page.doors import AccountDoor, Door, KeyDoor
from facade.page.examples import EXAMPLES, FOLDER
from facade.page.folder import Folder
from facade.page.form import READ_FORM
from facade.page.marking import Marking
from facade.page.marks import boxed, cleared, filled, rounded, uneven
from facade.page.sessions import Sessions
from facade.page.sign_in import SIGN_OUT, SignIn
from facade.page.surface import Surface
from facade.page.updates import Updates
from facade.settings import Settings
from facade.wire.uploads import Uploads
from facade.work.service import Service

_MOST_EVENTS = 1024
"""That are handled at a time; most of them wait for the service."""
_POLL_SECONDS = 0.02

_SHOW_STAGE = """() => document.querySelector("#stage").scrollIntoView({behavior: "smooth", block: "nearest"})"""
"""On a phone, and where settings are unfolded, the stage is above what was pressed."""

_SHOW_AND_ASK = f"(...given) => {{ ({_SHOW_STAGE})(); return given }}"
_SHOW_AND_READ = f"(...given) => {{ ({_SHOW_STAGE})(); return ({READ_FORM})(...given) }}"

_MOVE_HANDLE = """(percent) => ({__type__: "update", slider_position: percent})"""

_STRENGTHEN = Path(__file__).with_name("strength.js").read_text()

_SPEAK = """() => { document.documentElement.lang = /^zh\\b/i.test(navigator.language) ? "zh-CN" : "en" }"""

_SAVE = """(file) => {
    if (!file) return
    const link = Object.assign(document.createElement("a"), { href: file.url, download: file.orig_name })
    link.click()
}"""

_SANS = ("system-ui", "-apple-system", "Segoe UI", "Roboto", "Helvetica Neue", "Noto Sans", "Arial", "sans-serif")
_MONO = ("ui-monospace", "SFMono-Regular", "Menlo", "Consolas", "monospace")

# Gradio's plainest theme with the system's own fonts, so that none is fetched.
_THEME = gr.themes.Base(
    primary_hue=gr.themes.colors.teal,
    secondary_hue=gr.themes.colors.teal,
    neutral_hue=gr.themes.colors.stone,
    radius_size=gr.themes.sizes.radius_lg,
    text_size=gr.themes.sizes.text_md,
    font=_SANS,
    font_mono=_MONO,
).set(
    # Contrast of at least 4.5 to 1.
    body_text_color_subdued="*neutral_600",
    body_text_color_subdued_dark="*neutral_400",
    block_info_text_color="*neutral_600",
    block_info_text_color_dark="*neutral_400",
    color_accent="*primary_700",
    button_primary_background_fill="*primary_700",
    button_primary_background_fill_hover="*primary_800",
    button_primary_background_fill_dark="*primary_700",
    button_primary_background_fill_hover_dark="*primary_600",
    slider_color="*primary_700",
    checkbox_background_color_selected="*primary_700",
    checkbox_border_color_selected="*primary_700",
)


def mount_blocks(app: FastAPI, service: Service, settings: Settings, folder: Folder) -> Sessions:
    """Mounts the page at ``/``, behind a sign-in where the application has keys; returns its sessions."""
    keys: Keys = app.state.keys
    uploads: Uploads = app.state.uploads
    blocks, languages = _blocks(service, folder, app.state)
    gr.set_static_paths([FOLDER])
    gr.mount_gradio_app(
        app,
        blocks,
        "/",
        auth_dependency=(lambda request: str(request.state.key)) if keys else None,
        footer_links=[],
        run_history=False,
        show_error=False,
        max_file_size=settings.max_bytes,
        ssr_mode=False,
        enable_monitoring=False,
        pwa=False,
        mcp_server=False,
        theme=_THEME,
        css_paths=[Path(__file__).with_name(f"{name}.css") for name in ("style", "modes")],
        i18n=languages,
    )
    page = app.routes[-1]
    assert isinstance(page, Mount) and isinstance(page.app, App)
    # Gradio refuses paths of files that nobody uploaded only in blocks that were launched; these are mounted.
    blocks.has_launched = True
    # Pages of every site could read the answers that this adds headers to.
    cors: Any = CustomCORSMiddleware
    page.app.user_middleware = [each for each in page.app.user_middleware if each.cls is not cors]
    sessions = Sessions(blocks)
    page.app.add_middleware(
        Surface,
        uploads=uploads,
        memory=service.memory,
        sessions=sessions,
        folder=folder,
        max_bytes=settings.max_bytes,
    )
    if keys:
        accounts = app.state.accounts
        door: Door = KeyDoor(keys) if accounts is None else AccountDoor(accounts)
        page.app.add_middleware(SignIn, door=door, uploads=uploads, settings=settings)
    return sessions


def _blocks(service: Service, folder: Folder, state: State) -> tuple[gr.Blocks, gr.I18n]:
    blocks: gr.Blocks
    with gr.Blocks(title="Concord", analytics_enabled=False) as blocks:
        parts = Updates(_links(state), keeps=state.histories is not None)
        given = (service, parts, folder, state.keys, state.rates, state.histories)
        _connect(blocks, parts, Marking(*given), Asking(*given))
    # Whoever is one too many is refused by the service, in words, and not kept waiting by Gradio.
    blocks.max_threads = _MOST_EVENTS
    blocks.queue(default_concurrency_limit=None, max_size=_MOST_EVENTS, api_open=False)
    # Gradio looks for work a thousand times a second, which takes some percent of a core from everyone else.
    blocks._queue.sleep_when_free = _POLL_SECONDS
    blocks._queue.progress_update_sleep_when_free = _POLL_SECONDS
    # It keeps the times of ten thousand events, and goes through them with each.
    blocks._queue.ANALYTICS_MAX_EVENTS = 1
    blocks._queue.compute_analytics_summary = lambda _: {}  # type: ignore[method-assign]
    return blocks, gr.I18n(**parts.translations)


def _links(state: State) -> dict[str, str]:
    """The other pages, and the keys of their words."""
    links = {} if state.histories is None else {GALLERY: "own.gallery"}
    links |= {} if state.accounts is None else {ACCOUNT: "own.account"}
    return links | ({SIGN_OUT: "sign_out"} if state.keys else {})


def _connect(blocks: gr.Blocks, parts: Updates, marking: Marking, asking: Asking) -> None:
    """Connects the page's parts with their handlers; to be called within the ``gr.Blocks``."""
    messages = [parts.status, parts.message]
    said = [parts.mode, parts.title, parts.guide, parts.frame, parts.text, parts.press, *messages]
    models = [*said, parts.model, parts.served, parts.count, parts.advanced, parts.settings]
    chosen = [parts.mode, parts.model, parts.settings]
    point = [parts.tab, parts.point, parts.file, parts.find, parts.again, parts.mode, parts.text, *messages]
    marked = [*point, parts.pointing, parts.editor]
    compared = [*point, parts.preview, parts.slider, parts.alone, parts.handle, parts.strength, parts.results]

    # Handlers get what the browser sent: the editor would decode and write again every picture of it. Messages and
    # buttons say how it goes, in the place of Gradio's own veil over the outputs.
    shared: dict[str, Any] = {
        "preprocess": False,
        "show_progress": "hidden",
        "show_progress_on": parts.status,
        "api_visibility": "private",
    }
    in_browser: dict[str, Any] = {"api_visibility": "private"}
    blocks.load(marking.poll, chosen, models, **shared)
    blocks.load(None, js=_SPEAK, **in_browser)
    parts.model.input(marking.poll, chosen, models, **shared)

    opened = [parts.file.upload(marking.open, [parts.file], marked, **shared)]
    for example, button in zip(EXAMPLES, parts.examples, strict=True):
        opened.append(button.click(marking.open_example(example), None, marked, **shared))
    for event in opened:
        event.then(marking.poll, chosen, models, **shared)
    parts.again.click(marking.again, None, point, **shared)

    drawn = [parts.tab, parts.editor]
    entered = list(dict.fromkeys((*marked, *models)))
    parts.mode.input(marking.enter, [*drawn, *chosen], entered, **shared)
    parts.to_point.click(marking.go("point"), drawn, marked, **shared)
    parts.to_brush.click(marking.go("brush"), drawn, marked, **shared)
    parts.mask_file.upload(marking.take_mask, [parts.mask_file, parts.tab], marked, **shared)
    parts.pointing.select(marking.select, [parts.tab, parts.away], marked, **shared)
    parts.subject.click(marking.select_subject, [parts.tab], marked, **shared)
    parts.guess_again.click(marking.guess_again, [parts.tab], marked, **shared)
    for button, change, done in (
        (parts.fill, filled, "mark.filled"),
        (parts.rectangle, boxed, "mark.boxed"),
        (parts.ellipse, rounded, "mark.rounded"),
        (parts.uneven, uneven, "mark.made_uneven"),
        (parts.clear, cleared, "mark.cleared"),
    ):
        button.click(marking.redraw(change, done), drawn, marked, **shared)
    parts.adjust.click(marking.adjust, [parts.tab], marked, **shared)

    asked = [parts.find.click, parts.text.submit]
    found = gr.on(asked, marking.find, [parts.tab, parts.mode, parts.text], marked, js=_SHOW_AND_ASK, **shared)
    found.then(None, js=_SHOW_STAGE, **in_browser)
    # The form is read in the place of the last one.
    wanted = [*drawn, parts.mode, parts.text, parts.model, parts.count, parts.keep, parts.settings]
    pressed = parts.press.click(asking.ask, wanted, compared, js=_SHOW_AND_READ, **shared)
    pressed.then(None, js=_SHOW_STAGE, **in_browser)
    parts.cancel.click(asking.cancel, None, None, **shared)
    blocks.unload(asking.cancel)
    parts.handle.input(None, parts.handle, parts.slider, js=_MOVE_HANDLE, **in_browser)
    chosen_again = parts.results.select(asking.choose, [parts.tab], compared, **shared)
    # Where it is the one that is shown already, Gradio leaves its picture in the strength that it has.
    chosen_again.then(None, parts.strength, None, js=_STRENGTHEN, **in_browser)
    parts.strength.input(None, parts.strength, None, js=_STRENGTHEN, **in_browser)
    taken = [parts.taken, *messages]
    for form, button in parts.downloads.items():
        saved = button.click(asking.download(form), [parts.tab, parts.mode, parts.strength], taken, **shared)
        saved.then(None, parts.taken, None, js=_SAVE, **in_browser)
