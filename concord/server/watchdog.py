"""Notices that the server or one of its stubs is dead or hangs, and starts again what is.

A dead stub leaves every health URL of Triton at 200. That a process has ended is told by the kernel; whether one that
lives still answers is asked of the models themselves, by :mod:`concord.server.canaries`. Concord's models answer a
canary without computing anything.
"""

import threading
import time
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor

from tritonclient.utils import InferenceServerException  # type: ignore[import-untyped]

from concord.errors import ServerFailure
from concord.server.canaries import Canaries
from concord.server.embedded import EmbeddedServer
from concord.server.processes import SERVER, Processes
from concord.server.room import NoRoom

_ATTEMPTS = 5
_LOOK_SECONDS = 0.1
_ROOM_SECONDS = 1.0


class Watchdog:
    """Watches a server that has been started.

    A model whose process has ended is loaded again while the others go on. The whole server is started again only when
    it has ended itself, does not answer, or cannot load the model.

    Args:
        interval: seconds between two canaries of a model.
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
        self._processes = Processes()
        self._canaries: Canaries | None = None
        self._polled = time.monotonic()
        self._suspicions: dict[str, str] = {}
        self._changes = server.roster.changes

    def watch(self, stop: threading.Event) -> None:
        """Looks after the server until `stop` is set.

        Raises:
            ServerFailure: the server could not be started again.
        """
        self._processes.know(self._server.processes())
        try:
            while not stop.wait(_LOOK_SECONDS):
                problem = self._problem()
                if problem:
                    self._notify(f"{problem}; starting the server again")
                    self._forget()
                    self._restart(stop)
                    self._processes.know(self._server.processes())
        finally:
            self._forget()

    def _problem(self) -> str:
        """Why the whole server has to be started again, if it has; what is less is mended."""
        roster = self._server.roster
        ended = self._processes.ended(roster.dismissed)
        if SERVER in ended or not self._server.is_alive():
            return "the server's process has ended"
        if self._changes != roster.changes:
            self._changes = roster.changes
            self._processes.know(self._server.processes())
            self._forget_canaries()
        # Others have been unloaded, or were never loaded.
        if ended := ended & roster.loaded:
            return self._reload({model: f"the process of model '{model}' is dead" for model in ended})
        if time.monotonic() - self._polled < self._interval:
            return ""
        self._polled = time.monotonic()
        try:
            self._canaries = self._canaries or Canaries(self._server.grpc_url, self._patience)
            answers = list(self._canaries.poll())
        except InferenceServerException as error:
            problem = f"the server does not answer ({error.message()})"
            return problem if self._is_confirmed(SERVER, problem) else ""
        answers = [each for each in answers if each[0] in roster.loaded]
        problems = {model: problem for model, problem in answers if self._is_confirmed(model, problem)}
        for model in problems:
            self._processes.kill(model)
        return self._reload(problems) if problems else ""

    def _is_confirmed(self, model: str, problem: str) -> bool:
        """Whether two canaries in turn show the same problem.

        Triton calls a stub dead that a busy machine kept waiting for a second, so one is not enough.
        """
        before, self._suspicions[model] = self._suspicions.get(model), problem
        return bool(problem) and problem == before

    def _reload(self, problems: Mapping[str, str]) -> str:
        """Has models loaded again, side by side, which have these problems; tells what cannot be mended that way."""
        self._notify(f"{'; '.join(problems.values())}; loading it again")
        try:
            with ThreadPoolExecutor(len(problems)) as threads:
                list(threads.map(self._server.reload, problems))
        except InferenceServerException as error:
            return f"a model cannot be loaded again ({error.message()})"
        self._processes.know(self._server.processes())
        self._forget_canaries()
        names = ", ".join(f"'{model}'" for model in problems)
        self._notify(f"model {names} is ready again")
        return ""

    def _forget(self) -> None:
        self._processes.close()
        self._forget_canaries()

    def _forget_canaries(self) -> None:
        """The next are asked as if they were the first; one that a process died with may never be answered."""
        self._suspicions.clear()
        if self._canaries is not None:
            self._canaries.close()
            self._canaries = None

    def _restart(self, stop: threading.Event) -> None:
        attempt, told = 0, ""
        while True:
            try:
                self._server.restart()
            except NoRoom as failure:
                # Nothing is wrong with the server: it is waited for.
                wait = _ROOM_SECONDS
                if told != failure.field:
                    self._notify(str(failure))
                told = failure.field
            except ServerFailure as failure:
                attempt += 1
                if attempt == _ATTEMPTS:
                    raise
                self._notify(str(failure))
                wait = 2 ** (attempt - 1)
            else:
                self._notify("the server is ready again")
                return
            if stop.wait(wait):
                return
