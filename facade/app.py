"""The application: routes, what stands around them, and what they share."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from importlib.metadata import version

from fastapi import FastAPI

from concord_client.tasks import TASKS
from facade import openapi, problems
from facade.access import keys
from facade.batches import route as batches
from facade.batches.batch import Batches
from facade.openai import route as edits
from facade.openai.shapes import openai_problem
from facade.routes import server, tasks
from facade.settings import Settings
from facade.watch import observe
from facade.watch.readiness import Readiness
from facade.wire.unmatched import Unmatched
from facade.wire.uploads import Uploads
from facade.work.service import Service

DESCRIPTION = """An object pasted into a photo often has the wrong light and colour. Name it, or give a mask, and
Concord returns the photo with that object matched to the rest; in PNG no other pixel changes.

Every refusal and failure is a problem (RFC 9457) with a stable `type`."""


def create_app(settings: Settings, service: Service | None = None) -> FastAPI:
    """The facade as an ASGI application.

    Args:
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
        version=version("concord"),
        license_info={"name": "Apache-2.0", "identifier": "Apache-2.0"},
        # Their pages would fetch scripts from elsewhere.
        docs_url=None,
        redoc_url=None,
        lifespan=lifespan,
    )
    app.state.service = service
    app.state.uploads = Uploads(settings)
    app.state.readiness = Readiness(service.probe, settings.probe_interval)
    app.state.batches = Batches(service)
    for router in (tasks.router_of(TASKS), edits.router, batches.router, server.router):
        app.include_router(router)
    app.router.routes.append(Unmatched(app.router.routes))
    problems.install(app, {edits.EDITS: openai_problem})
    keyed = bool(keys.install(app, settings))
    openapi.install(app, service.models, (*tasks.SCHEMAS, *edits.SCHEMAS, *batches.SCHEMAS), keyed=keyed)
    observe.install(app, service.admission)
    if settings.page:
        # Gradio takes seconds to import.
        from facade import page

        page.mount(app, service, settings)
    return app
