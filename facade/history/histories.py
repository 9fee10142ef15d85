"""The histories of those who have accounts, as the routes and the page know them: by the names of their holders."""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from concord.limits import Limits
from concord_client.tasks import TASKS
from concord_client.tasks.request import Answer, Request
from facade.access.caller import Caller
from facade.accounts.entrance import Entrance
from facade.history.history import History
from facade.history.result import Told, repeated, repeated_settings, result_of
from facade.history.tables import Kept
from facade.problems import Problem
from facade.work.service import Finished, Service

_TASKS = {task.TASK: task for task in TASKS}


@dataclass(frozen=True)
class Again:
    """The answer to the request of a result, asked once more; its settings are as they were written."""

    request: Request[Any]
    finished: Finished[Any]
    model: str
    settings: dict[str, str]


@dataclass(frozen=True)
class Histories:
    """Those of one facade; `limits` are the largest pictures that anybody may send."""

    history: History
    entrance: Entrance
    limits: Limits

    def account(self, holder: str) -> int:
        """The account of somebody who was let in.

        Raises:
            Problem: it was with a key of the settings, which belongs to no account.
        """
        found = self.entrance.holders.get(holder)
        if found is None:
            problem = "this key belongs to no account, and only accounts have results"
            raise Problem("forbidden", problem, field="keep", allowed="an account")
        return found.id

    async def keep(
        self, holder: str, request: Request[Any], answer: Answer, model: str, settings: Mapping[str, str]
    ) -> str:
        """Keeps an answer, and returns the token of the result.

        Args:
            settings: of the model, as they were written.

        Raises:
            Problem: as `account`, `facade.history.result.result_of` and `History.keep`.
        """
        account = self.account(holder)
        result = await asyncio.to_thread(result_of, request, answer, model, settings, self.limits)
        return await self.history.keep(account, result)

    async def again(self, kept: Kept, service: Service, caller: Caller, changes: Mapping[str, str]) -> Again:
        """Asks for a result once more, with the seed that it had.

        Args:
            changes: settings that are to be otherwise; and `model`, for another model.

        Raises:
            Problem: a picture of it is gone, the model is not loaded or does not take the settings any more, or as
                `Service.run`.
        """
        told, task = Told.model_validate_json(kept.told), _TASKS.get(kept.task)
        if task is None:
            raise Problem("not_found", f"there is no task {kept.task[:40]!r} any more", field="task")
        pictures = {part: await self.history.picture(kept, part) for part in told.images.values()}
        with service.memory.kept(caller.owner, sum(map(len, pictures.values()))):
            request = repeated(task, told, pictures)
            texts = {**repeated_settings(told, kept.seed), **changes}
            model = texts.pop("model", kept.model)
            pipeline, settings = await service.choose(request, model, texts, caller)
            finished = await service.run(request, caller, model=pipeline.model, settings=settings)
        return Again(request, finished, pipeline.model, texts)
