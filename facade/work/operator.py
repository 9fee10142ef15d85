"""Loads and unloads models of the facade's own Triton, and has requests told so that come to them meanwhile."""

import asyncio
import threading
from collections.abc import Callable
from concurrent.futures import Future
from functools import partial
from typing import TypeVar

import structlog

from concord.server.changes import Change, Changes
from concord.server.embedded import EmbeddedServer
from facade.problems import Problem
from facade.work.service import Service

T = TypeVar("T")


class Operator:
    """Makes one change after the other, each to its end, whoever still waits for it; to be used in one event loop."""

    def __init__(self, service: Service, server: EmbeddedServer) -> None:
        self._service, self._roster = service, server.roster
        self._changes = Changes(server)
        self._turn = asyncio.Lock()

    def models(self) -> dict[str, bool]:
        """The public models of the repositories, and whether each is loaded."""
        wanted = self._roster.wanted or frozenset()
        return {name: name in wanted for name in sorted(self._roster.inventory.pipelines)}

    async def load(self, model: str, profile: str, device: str) -> Change:
        """Loads a model; requests for it are refused as ``loading`` until it is there. Errors as `Changes.loading`."""
        plan = self._changes.loading
        return await self._change(lambda: plan(model, profile, device), "loading", "is being loaded")

    async def unload(self, model: str) -> Change:
        """Unloads a model; requests for it that wait are refused. Errors as `Changes.unloading`."""
        return await self._change(lambda: self._changes.unloading(model), "unknown_model", "is unloaded")

    async def reload(self, model: str) -> Change:
        """Loads a model anew, which answers meanwhile. Errors as `Changes.reloading`."""
        return await self._change(lambda: self._changes.reloading(model), "loading", "is being loaded")

    async def _change(self, plan: Callable[[], Change], code: str, words: str) -> Change:
        return await asyncio.shield(self._service.admission.start(self._planned(plan, code, words)))

    async def _planned(self, plan: Callable[[], Change], code: str, words: str) -> Change:
        models = self._service.models
        async with self._turn:
            change = await _apart(plan)
            for model in change.public:
                refusal = partial(Problem, code, f"{model} {words}", field="model")
                models.hidden |= dict.fromkeys((model, *self._roster.inventory.pipelines[model]), refusal)
                self._service.admission.refuse(model, refusal)
            log = structlog.get_logger("facade.models").bind(model=change.model)
            log.info("changing", loads=change.loads, unloads=change.unloads, profile=change.words)
            try:
                await _apart(lambda: self._changes.make(change))
            finally:
                await models.renew()
                models.hidden.clear()
            log.info("changed")
            return change


async def _apart(work: Callable[[], T]) -> T:
    """Does work in a thread of its own, which the end of the program does not wait for."""
    outcome: Future[T] = Future()

    def run() -> None:
        try:
            outcome.set_result(work())
        except BaseException as error:
            outcome.set_exception(error)

    threading.Thread(target=run, daemon=True).start()
    return await asyncio.wrap_future(outcome)
