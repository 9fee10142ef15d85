"""The page at ``/``, for a person with a photograph and no program. Built on Gradio; no request leaves the machine.

What a browser sends and is sent lies in files, because Gradio wants it so: in a private folder, for half an hour after
its last use, and gone when the program is (:mod:`facade.page.folder`).
"""

import asyncio
import atexit
import os
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from fastapi import FastAPI

from facade.page.folder import SWEPT_SECONDS, Folder
from facade.settings import Settings
from facade.work.service import Service


def mount(app: FastAPI, service: Service, settings: Settings) -> None:
    """Puts the page at ``/`` of an application; to be called when its routes and keys are installed."""
    folder = Folder()
    atexit.register(folder.remove)
    os.environ |= {"GRADIO_TEMP_DIR": str(folder.path), "GRADIO_ANALYTICS_ENABLED": "False"}
    # Gradio reads the environment when it is imported.
    from facade.page.blocks import mount_blocks

    if app.state.accounts is not None:
        _add_pages(app)
    sessions = mount_blocks(app, service, settings, folder)
    inner = app.router.lifespan_context

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[object]:
        sweeping = asyncio.create_task(_keep_swept(folder, sessions.sweep))
        try:
            async with inner(app) as state:
                yield state
        finally:
            sweeping.cancel()
            folder.remove()

    app.router.lifespan_context = lifespan  # type: ignore[assignment] # as Starlette calls it


def _add_pages(app: FastAPI) -> None:
    """The pages of those who have an account."""
    from facade.page.account import administration, own, site
    from facade.page.account.gallery import Gallery

    site.add_files(app)
    own.install(app)
    administration.install(app)
    if app.state.histories is not None:
        Gallery(app.state.histories).install(app)


async def _keep_swept(folder: Folder, forget_sessions: Callable[[], None]) -> None:
    """Sweeps from time to time, until it is cancelled."""
    while True:
        await asyncio.sleep(SWEPT_SECONDS)
        forget_sessions()
        await asyncio.to_thread(folder.sweep)
