"""Notices that the server or one of its stubs is dead or hangs, and starts the server again.

A dead stub leaves every health URL of Triton at 200, so health is asked of the models themselves, by
:mod:`concord.server.canaries`. Concord's models answer a canary without computing anything.
"""

import threading
from collections.abc import Callable

from tritonclient.utils import InferenceServerException  # type: ignore[import-untyped]

from concord.errors import ServerFailure
from concord.server.canaries import Canaries
from concord.server.embedded import EmbeddedServer

_ATTEMPTS = 5


class Watchdog:
    """Watches a server that has been started.

    Args:
        interval: seconds between two looks, and that a look takes at most.
        patience: seconds that a model may take to answer a canary, if its configuration does not give it longer.
        notify: is told in words what happened.
    """

    def __init__(
        self,
        server: EmbeddedServer,
        *,
        interval: float = 2.0,
        patience: float = 120.0,
        notify: Callable[[str], None] = print,
    ) -> None:
        self._server = server
        self._interval = interval
        self._patience = patience
        self._notify = notify
        self._canaries: Canaries | None = None
        self._suspicions: dict[str, str] = {}

    def watch(self, stop: threading.Event) -> None:
        """Looks after the server until `stop` is set.

        Raises:
            ServerFailure: the server could not be started again.
        """
        try:
            while not stop.wait(self._interval):
                problem = self._confirmed_problem()
                if problem:
                    self._notify(f"{problem}; starting the server again")
                    self._forget()
                    self._restart(stop)
        finally:
            self._forget()

    def _confirmed_problem(self) -> str:
        """The problems that two canaries of one model show in turn.

        Triton calls a stub dead that a busy machine kept waiting for a second, so one is not enough.
        """
        if not self._server.is_alive():
            return "the server's process has ended"
        try:
            self._canaries = self._canaries or Canaries(self._server.grpc_url, self._patience)
            answers = self._canaries.poll(self._interval)
            return "; ".join(problem for model, problem in answers if self._is_confirmed(model, problem))
        except InferenceServerException as error:
            problem = f"the server does not answer ({error.message()})"
            return problem if self._is_confirmed("", problem) else ""

    def _is_confirmed(self, model: str, problem: str) -> bool:
        before, self._suspicions[model] = self._suspicions.get(model), problem
        return bool(problem) and problem == before

    def _forget(self) -> None:
        self._suspicions.clear()
        if self._canaries is not None:
            self._canaries.close()
            self._canaries = None

    def _restart(self, stop: threading.Event) -> None:
        for attempt in range(_ATTEMPTS):
            try:
                self._server.restart()
            except ServerFailure as failure:
                if attempt == _ATTEMPTS - 1:
                    raise
                self._notify(str(failure))
                if stop.wait(2**attempt):
                    return
            else:
                self._notify("the server is ready again")
                return
