"""The application: routes, what stands around them, and what they share."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from fastapi import FastAPI

from facade import openapi, problems
from facade.access import keys
from facade.batches import route as batches
from facade.batches.batch import Batches
from facade.openai import route as edits
from facade.routes import harmonize, health, jobs, models, segment
from facade.settings import Settings
from facade.watch import observe
from facade.watch.readiness import Readiness
from facade.wire.unmatched import Unmatched
from facade.wire.uploads import Uploads
from facade.work.service import Service

DESCRIPTION = """Something was pasted into a photograph and its light is wrong. Say what it is, or give a mask, and get
the photograph back with it at home; in PNG every other pixel is untouched.

Every refusal and failure is a problem (RFC 9457) with a stable `type`."""


def create_app(settings: Settings, service: Service | None = None) -> FastAPI:
    """The facade as an ASGI application.

    Args:
        settings: of everything.
        service: asks Triton; by default one that is made from the settings. The application closes it.

    Raises:
        SettingsError: the keys are not usable.
    """
    service = service or Service(settings)

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        async with service, app.state.readiness:
            yield

    app = FastAPI(
        title="Concord",
        description=DESCRIPTION,
        version="0.1.0",
        license_info={"name": "Apache-2.0", "identifier": "Apache-2.0"},
        # Their pages would fetch scripts from elsewhere.
        docs_url=None,
        redoc_url=None,
        lifespan=lifespan,
    )
    app.state.settings = settings
    app.state.service = service
    app.state.uploads = Uploads(settings)
    app.state.readiness = Readiness(service.probe, settings.probe_interval)
    app.state.batches = Batches(service)
    for module in (harmonize, segment, edits, batches, models, jobs, health):
        app.include_router(module.router)
    app.router.routes.append(Unmatched(app.router.routes))
    problems.install(app)
    openapi.install(app, settings)
    keys.install(app, settings)
    metrics = observe.install(app, settings)
    metrics.watch(service.admission)
    if settings.page:
        # Gradio takes seconds to import.
        from facade import page

        page.mount(app, service, settings)
    return app
