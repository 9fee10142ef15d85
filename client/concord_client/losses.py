"""What was lost because a process of the server ended, as far as the server can be asked."""

from collections.abc import Awaitable, Callable
from contextlib import suppress

from concord_client.cancellation import Deadline
from concord_client.catalogue import RELOADS
from concord_client.errors import MOST_LOSSES, ConcordClientError, Lost, ModelNotFound, Unavailable
from concord_client.transport import Transport

_LOOK_INTERVAL = 1.0


class Losses:
    """The processes that have ended with one call; one that is found dead several times counts once."""

    def __init__(self) -> None:
        self._ended: list[object] = []

    async def too_many(self, lost: Lost, transport: Transport, deadline: Deadline) -> bool:
        """Whether, with this one, there are `MOST_LOSSES`."""
        process: object = lost
        with suppress(ConcordClientError):
            if lost.model:
                process = lost.model, await _reloads(lost.model, transport, deadline)
        if process not in self._ended:
            self._ended.append(process)
        return len(self._ended) >= MOST_LOSSES


async def replaced(
    model: str, transport: Transport, deadline: Deadline, sleep: Callable[[float], Awaitable[None]]
) -> None:
    """Returns when a model was loaded again; raises `ConcordClientError` where the server cannot be asked.

    Triton leaves the streams of a process that has died open for ever.
    """
    before = None
    while True:
        with suppress(Unavailable, ModelNotFound):
            now = await _reloads(model, transport, deadline)
            if before not in (None, now):
                return
            before = now
        await sleep(_LOOK_INTERVAL)


async def _reloads(model: str, transport: Transport, deadline: Deadline) -> str:
    parameters = (await transport.config(model, deadline)).get("parameters", {})
    return str(parameters.get(RELOADS, {}).get("string_value", 0))
