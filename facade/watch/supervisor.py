"""Keeps a Triton of our own up beside the facade: starts it, starts it again when it or a stub of it dies, stops it."""

import threading
import time
from collections.abc import Callable
from contextlib import suppress

import psutil

from concord.errors import ServerFailure
from concord.server.embedded import EmbeddedServer
from concord.server.watchdog import Watchdog

_POLL_SECONDS = 0.1
_LOOK_SECONDS = 5.0  # longer than the watchdog's look at a server that lives


class Supervisor:
    """Looks after a server in a thread of its own, so that the facade answers while Triton starts.

    In the thread, `notify` is told in words what happened, and `failed` is called once if the server cannot be kept up.
    """

    def __init__(
        self, server: EmbeddedServer, notify: Callable[[str], None], failed: Callable[[ServerFailure], None]
    ) -> None:
        self._server = server
        self._notify = notify
        self._failed = failed
        self._started = False
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._look_after, name="supervisor", daemon=True)

    def start(self) -> None:
        """Returns at once; the server is then being started."""
        self._thread.start()

    def stop(self, at_once: Callable[[], bool]) -> None:
        """Returns when nothing of the server is left.

        `at_once` is asked again and again whether requests that Triton is answering should be given up.
        """
        self._stopped.set()
        patience = time.monotonic() + _LOOK_SECONDS
        while self._thread.is_alive():
            # It is in a start that nobody waits for any more.
            if at_once() or not self._started or time.monotonic() > patience:
                self._kill()
            self._thread.join(_POLL_SECONDS)
        stopping = threading.Thread(target=self._server.stop, daemon=True)
        stopping.start()
        while stopping.is_alive():
            if at_once():
                self._kill()
            stopping.join(_POLL_SECONDS)

    def _look_after(self) -> None:
        try:
            self._server.start()
            self._started = True
            roster = self._server.roster
            if roster.unexported:
                self._notify(f"not served, since not exported: {', '.join(sorted(roster.unexported))}")
            if roster.choice.words:
                self._notify(roster.choice.words)
            http = "" if self._server.ports.http is None else f"HTTP {self._server.http_url}, "
            self._notify(
                f"Triton is ready: {http}gRPC {self._server.grpc_url}, metrics {self._server.metrics_url}; "
                f"log {self._server.log_path}"
            )
            Watchdog(self._server, notify=self._notify).watch(self._stopped)
        except ServerFailure as failure:
            if not self._stopped.is_set():
                self._failed(failure)

    def _kill(self) -> None:
        # The keeper kills Triton at once when it gets SIGTERM.
        with suppress(psutil.NoSuchProcess):
            for keeper in self._server.processes()[:1]:
                keeper.terminate()
