"""The page as an application of Gradio's, below the facade's own routes."""

import gradio as gr
from fastapi import FastAPI, Request
from gradio.routes import App
from starlette.routing import Mount

from facade.access.keys import Keys
from facade.access.rates import Rates
from facade.page.examples import FOLDER as EXAMPLES
from facade.page.folder import Folder
from facade.page.handlers import Handlers
from facade.page.layout import lay_out
from facade.page.sign_in import SIGN_OUT, SignIn
from facade.page.stages import Stages
from facade.page.surface import Surface
from facade.page.theme import CSS, THEME
from facade.page.wiring import connect
from facade.settings import Settings
from facade.work.service import Service

_MOST_EVENTS = 1024
"""That are handled at a time; most of them wait for the service."""
_POLL_SECONDS = 0.02


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
        theme=THEME,
        css_paths=[CSS],
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
        parts = lay_out(SIGN_OUT if keys else None)
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
