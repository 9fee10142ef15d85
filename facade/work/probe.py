"""Whether inference works, found out with the smallest request that the server takes."""

import asyncio
import time
from typing import Any

from concord_client import AsyncClient
from concord_client.errors import ConcordClientError
from concord_client.tasks import TASKS
from concord_client.tasks.request import Request
from facade.work.admission import MARGIN, Turns
from facade.work.models import Models
from facade.work.requests import smallest

_PROBE_SECONDS = 10.0


class Prober:
    """Asks the server, unless something was answered lately.

    Args:
        turns: in which a probe goes on when nobody waits for it any more.
        interval: seconds for which an answer counts.
    """

    def __init__(self, client: AsyncClient, models: Models, turns: Turns, interval: float) -> None:
        self._client = client
        self._models = models
        self._turns = turns
        self._interval = interval
        self._answered = -float("inf")
        self._probing: asyncio.Task[bool] | None = None

    def note_answer(self) -> None:
        """Something was answered."""
        self._answered = time.monotonic()

    def doubt(self) -> None:
        """What was answered lately no longer counts."""
        self._answered = -float("inf")

    async def __call__(self, *, now: bool = False) -> bool:
        """Whether something was answered lately, or is answered now; `now` asks whatever was answered lately."""
        if not now and time.monotonic() - self._answered < self._interval:
            return True
        if self._probing is None or self._probing.done():
            self._probing = self._turns.start(self.ask())
        await asyncio.wait([self._probing], timeout=_PROBE_SECONDS)
        return self._probing.done() and self._probing.result()

    async def ask(self) -> bool:
        """Whether the request that costs least is answered: without steps, without texts, the smallest."""
        tasks = {task.TASK: task for task in TASKS}
        try:
            pipelines = [each for each in (await self._models.refresh()).pipelines if each.task in tasks]
            if not pipelines:
                return False
            found = [(pipeline, *smallest(tasks[pipeline.task], pipeline)) for pipeline in pipelines]
            pipeline, request, settings = min(found, key=lambda each: (each[0].has_steps, _texts(each[1])))
            await self._client.run(request, model=pipeline.model, settings=settings, timeout=MARGIN)
        except ConcordClientError:
            return False
        self.note_answer()
        return True


def _texts(request: Request[Any]) -> int:
    return sum(field.kind == "text" for field in request.given())
