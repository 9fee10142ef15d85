"""The application: routes, what stands around them, and what they share."""

from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager, nullcontext
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

from fastapi import FastAPI
from starlette.exceptions import HTTPException
from starlette.routing import BaseRoute, Match
from starlette.types import Receive, Scope, Send
from uvicorn.middleware.proxy_headers import ProxyHeadersMiddleware

from concord.server.embedded import EmbeddedServer
from concord_client.tasks import TASKS
from facade import openapi, problems
from facade.access.caller import Allowance
from facade.access.declared import Declared
from facade.access.keys import Gate, Keys
from facade.access.origins import Origins
from facade.access.rates import rates_of
from facade.batches import route as batches
from facade.batches.batch import Batches
from facade.kserve import route as kserve
from facade.kserve.shapes import kserve_problem
from facade.openai import edits, generations
from facade.openai.shapes import openai_problem
from facade.routes import loading, tasks
from facade.routes import server as routes
from facade.settings import Settings, SettingsError
from facade.watch.observe import Metrics, Observer
from facade.watch.tracing import TELEMETRY
from facade.wire.uploads import Uploads
from facade.work.operator import Operator
from facade.work.probe import Readiness
from facade.work.service import Service

if TYPE_CHECKING:
    from facade.accounts.accounts import Accounts
    from facade.history.histories import Histories

API = ("/v1/", f"{kserve.API}/")
_FOUND = "concord.unmatched"
DESCRIPTION = """An object pasted into a photo often has the wrong light and colour. Name it, or give a mask, and
Concord returns the photo with that object matched to the rest; in PNG no other pixel changes.

Every refusal and failure is a problem (RFC 9457) with a stable `type`."""


def create_app(settings: Settings, service: Service | None = None, server: EmbeddedServer | None = None) -> FastAPI:
    """The facade as an ASGI application, which closes the service; by default it is made from the settings.

    `server` is the Triton behind it, where that is its own: models of it can be loaded and unloaded.

    Raises:
        SettingsError: the keys are not usable, or the store of rates is not.
    """
    service = service or Service(settings)

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        accounts, histories = app.state.accounts or nullcontext(), app.state.histories
        swept = histories.history.swept() if histories else nullcontext()
        # The tables are made before anything is swept, and the store closes last.
        async with service, app.state.readiness, app.state.rates, accounts, swept:
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
        telemetry={**TELEMETRY, "exclude": lambda scope: not scope["path"].startswith(API)},
    )
    app.state.service = service
    app.state.operator = None if server is None else Operator(service, server)
    app.state.keys = Keys(settings)
    app.state.rates = rates_of(settings)
    app.state.accounts, of_accounts = _accounts(app, settings, service)
    app.state.histories, of_histories = _histories(settings, app.state.accounts)
    of_accounts += of_histories
    service.memory.has_several = app.state.keys.has_several
    app.state.uploads = Uploads(settings, service.memory)
    readiness = app.state.readiness = Readiness(service.probe, settings.probe_interval)
    app.state.metrics = Metrics(
        service.admission, service.stages, lambda: readiness.ready, lambda: app.state.rates.shared
    )
    app.state.batches = Batches(service)
    app.include_router(tasks.router_of(TASKS, keeps=app.state.histories is not None))
    for each in (edits, generations, batches, kserve, routes, loading, *of_accounts):
        app.include_router(each.router)
    app.router.routes.append(Unmatched(app.router.routes))
    problems.install(
        app, {edits.EDITS: openai_problem, generations.GENERATIONS: openai_problem, kserve.API: kserve_problem}
    )
    schemas = (*tasks.SCHEMAS, *edits.SCHEMAS, *generations.SCHEMAS, *batches.SCHEMAS, *kserve.SCHEMAS)
    schemas += tuple(schema for each in of_accounts for schema in each.SCHEMAS)
    openapi.install(app, service.models, schemas, keyed=bool(app.state.keys))
    if app.state.keys:
        app.add_middleware(Gate, keys=app.state.keys, rates=app.state.rates)
    app.add_middleware(Origins, settings=settings)
    app.add_middleware(Declared, settings=settings)
    # Around them, so that it sees what is refused there.
    app.add_middleware(Observer, metrics=app.state.metrics)
    if settings.proxies:
        app.add_middleware(ProxyHeadersMiddleware, trusted_hosts=list(settings.proxies))
    if settings.page:
        # Gradio takes seconds to import.
        from facade import page

        page.mount(app, service, settings)
    return app


def _accounts(app: FastAPI, settings: Settings, service: Service) -> tuple["Accounts | None", tuple[Any, ...]]:
    """Where accounts are on, they and the modules of their routes; their packages are imported only then."""
    if settings.accounts == "off":
        return None, ()
    from facade.accounts.accounts import Accounts
    from facade.routes import account, accounts

    found = Accounts(settings, app.state.rates)
    app.state.keys.entrance = found.entrance
    service.pictures = found.pictures
    return found, (account, accounts)


def _histories(settings: Settings, accounts: "Accounts | None") -> tuple["Histories | None", tuple[Any, ...]]:
    """Where results are kept, the histories and the module of their routes."""
    if not settings.history_days:
        return None, ()
    if accounts is None:
        problem = "only accounts have results"
        raise SettingsError(f"--history-days (CONCORD_HISTORY_DAYS): {problem}; allowed: --accounts besides, or 0")
    if (folder := settings.results_folder) is None:
        problem = "the store is no file that the results could lie beside"
        raise SettingsError(f"--history-folder (CONCORD_HISTORY_FOLDER): {problem}; allowed: a folder")
    from facade.history.files import Files
    from facade.history.histories import Histories
    from facade.history.history import Bounds, History
    from facade.routes import history

    bounds = Bounds(settings.history_days, settings.history_bytes)
    kept = History(accounts.store, Files(folder), bounds)
    return Histories(kept, accounts.entrance, Allowance.of(settings).limits), (history,)


class Unmatched(BaseRoute):
    """The last route of the API, after all others: a path that it does not have, or has for other methods.

    The page, mounted at ``/``, would take these otherwise.
    """

    def __init__(self, routes: Iterable[BaseRoute]) -> None:
        self._routes = list(routes)

    def matches(self, scope: Scope) -> tuple[Match, Scope]:
        if scope["type"] != "http":
            return Match.NONE, {}
        for route in self._routes:
            match, found = route.matches(scope)
            if match is Match.PARTIAL:
                return Match.FULL, {**found, _FOUND: route}
        return Match.FULL if scope["path"].startswith(API) else Match.NONE, {_FOUND: None}

    async def handle(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Has the path's own route refuse the method; 404 where there is none."""
        route: BaseRoute | None = scope[_FOUND]
        if route is None:
            raise HTTPException(404)
        await route.handle(scope, receive, send)
