"""The page as an application of Gradio's, below the facade's own routes: its theme, and what of Gradio is answered."""

from dataclasses import dataclass
from pathlib import Path

import gradio as gr
from fastapi import FastAPI, Request
from gradio.routes import App
from starlette.routing import Mount
from starlette.types import ASGIApp, Receive, Scope, Send

from facade.access.keys import Keys, Rates
from facade.page.examples import FOLDER as EXAMPLES
from facade.page.folder import Folder
from facade.page.handlers import Handlers
from facade.page.layout import Parts
from facade.page.sign_in import SIGN_OUT, SignIn
from facade.page.stages import Stages
from facade.page.wiring import connect
from facade.problems import Problem
from facade.settings import Settings
from facade.work.service import Service

_MOST_EVENTS = 1024
"""That are handled at a time; most of them wait for the service."""
_POLL_SECONDS = 0.02

# What of Gradio's routes the page needs; a browser is answered on no other.
_PATHS = frozenset({"/", "/config", "/favicon.ico", "/theme.css", "/manifest.json"})
_STARTS = (
    "/assets/",
    "/static/",
    "/gradio_api/app_id",
    "/gradio_api/cancel",
    "/gradio_api/file=",
    "/gradio_api/heartbeat/",
    "/gradio_api/info",
    "/gradio_api/queue/",
    "/gradio_api/startup-events",
    "/gradio_api/upload",
)

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


def mount_blocks(app: FastAPI, service: Service, settings: Settings, folder: Folder) -> None:
    """Mounts the page at ``/``, behind a sign-in where the application has keys."""
    keys: Keys = app.state.keys
    gr.set_static_paths([EXAMPLES])
    gr.mount_gradio_app(
        app,
        _blocks(service, folder, keys, app.state.rates),
        "/",
        auth_dependency=_holder if keys else None,
        footer_links=[],
        run_history=False,
        show_error=False,
        max_file_size=settings.max_bytes,
        ssr_mode=False,
        enable_monitoring=False,
        pwa=False,
        mcp_server=False,
        theme=_THEME,
        css_paths=[Path(__file__).with_name("style.css")],
    )
    page = app.routes[-1]
    assert isinstance(page, Mount) and isinstance(page.app, App)
    # Gradio refuses paths of files that nobody uploaded only in blocks that were launched; these are mounted.
    page.app.get_blocks().has_launched = True
    page.app.add_middleware(Surface)
    if keys:
        page.app.add_middleware(SignIn, keys=keys)


def _blocks(service: Service, folder: Folder, keys: Keys, rates: Rates) -> gr.Blocks:
    blocks: gr.Blocks
    with gr.Blocks(title="Concord", analytics_enabled=False) as blocks:
        parts = Parts(SIGN_OUT if keys else None)
        connect(blocks, parts, Handlers(service, Stages(parts), folder, keys, rates))
    # Whoever is one too many is refused by the service, in words, and not kept waiting by Gradio.
    blocks.max_threads = _MOST_EVENTS
    blocks.queue(default_concurrency_limit=None, api_open=False)
    # Gradio looks for work a thousand times a second, which takes some percent of a core from everyone else.
    blocks._queue.sleep_when_free = _POLL_SECONDS
    blocks._queue.progress_update_sleep_when_free = _POLL_SECONDS
    return blocks


def _holder(request: Request) -> str:
    return str(request.state.key)


@dataclass(frozen=True)
class Surface:
    """ASGI middleware that keeps the rest of Gradio from the network: proxies, recordings, remote calls, editors."""

    app: ASGIApp

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Passes a request on, or answers that there is nothing."""
        if scope["type"] == "http" and scope["path"] not in _PATHS and not scope["path"].startswith(_STARTS):
            await Problem("not_found", "there is no such page").response(scope)(scope, receive, send)
            return
        await self.app(scope, receive, send)
