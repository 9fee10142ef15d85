"""What was lost because a process of the server ended, as far as the server can be asked."""

from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from typing import Any, TypeAlias

from concord_client.cancellation import Cancellation, Deadline
from concord_client.catalogue import RELOADS
from concord_client.errors import MOST_LOSSES, ConcordClientError, Lost, ModelNotFound, Unavailable
from concord_client.transport import Transport

Sleep: TypeAlias = Callable[[float, Cancellation], Awaitable[None]]
_LOOK_INTERVAL = 1.0
_LOOKS, _SHORT_INTERVAL = 30, 0.1


class Losses:
    """The processes that have ended with one call; one that is found dead several times counts once.

    Args:
        reloads: how often each model had been loaded again when the server was last asked, at the start of the call;
            kept up to date.
    """

    def __init__(self, reloads: dict[str, str]) -> None:
        self._reloads = reloads
        # Others may learn of a process that this call is still to lose.
        self._seen = dict(reloads)
        self._ended: list[object] = []

    async def too_many(self, lost: Lost, transport: Transport, deadline: Deadline, sleep: Sleep) -> bool:
        """Whether, with this one, there are `MOST_LOSSES`; returns when the model was loaded again, or in some seconds.

        To ask before would cost the models that are asked first their work, and find the same process dead.
        """
        process: object = lost
        if lost.model:
            before = self._seen.get(lost.model)
            process = lost.model, before
            for _ in range(_LOOKS):
                with suppress(ConcordClientError):
                    now = reloads_of(await transport.config(lost.model, deadline))
                    self._reloads[lost.model] = self._seen[lost.model] = now
                if before != self._seen.get(lost.model) or deadline.left <= _SHORT_INTERVAL:
                    break
                await sleep(_SHORT_INTERVAL, deadline.cancellation)
        if process not in self._ended:
            self._ended.append(process)
        return len(self._ended) >= MOST_LOSSES


async def replaced(model: str, transport: Transport, deadline: Deadline, sleep: Sleep) -> None:
    """Returns when a model was loaded again; raises `ConcordClientError` where the server cannot be asked.

    Triton leaves the streams of a process that has died open for ever.
    """
    before = None
    while True:
        with suppress(Unavailable, ModelNotFound):
            now = reloads_of(await transport.config(model, deadline))
            if before not in (None, now):
                return
            before = now
        await sleep(_LOOK_INTERVAL, deadline.cancellation)


def reloads_of(config: Mapping[str, Any]) -> str:
    """How often a model was loaded again, by its configuration in Triton's JSON form."""
    return str(config.get("parameters", {}).get(RELOADS, {}).get("string_value", 0))
