"""``concord serve``: the facade and its Triton in the foreground, until Ctrl-C or SIGTERM."""

import argparse
import asyncio
import os
import signal
import sys
import threading
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from concord.errors import ServerFailure
from concord.heap import give_back_large_blocks
from concord.server.embedded import RELEASE_SECONDS, EmbeddedServer, Ports
from concord.server.installation import HUGE_PAGES
from concord.server.log import open_log
from concord.server.tracing import trace_options
from facade.settings import Settings, SettingsError, add_arguments, from_arguments
from facade.store.address import state_folder

HELP = "keep the facade and its Triton up in the foreground until Ctrl-C or SIGTERM"
DESCRIPTION = f"""{HELP}.

Every flag is an environment variable too; the flag goes first. A signal stops it when the requests that were accepted
are answered; a second signal stops it at once."""
_FAILED = 1
_WRONG_USAGE = 2
DIRECT_SECONDS = 30.0
"""How long a stop waits for requests that Triton got from others than the facade."""


def run(args: argparse.Namespace) -> int:
    """Serves until a signal comes; returns the exit status."""
    _start_again_with_huge_pages()
    signals = _Signals()
    try:
        return _Stack(from_arguments(args), signals).run()
    except (SettingsError, ServerFailure) as error:
        _say(str(error))
        return _WRONG_USAGE if isinstance(error, SettingsError) else _FAILED


class _Signals:
    """Counts SIGINT and SIGTERM from now on, and tells whoever is there to be stopped."""

    def __init__(self) -> None:
        self.count = 0
        self.stop: Callable[[], None] = lambda: None
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, lambda *_: self._receive())

    @property
    def impatient(self) -> bool:
        return self.count > 1

    def _receive(self) -> None:
        self.count += 1
        self.stop()


class _Stack:
    """The facade, and the Triton that is started for it unless there is one elsewhere.

    Raises:
        ServerFailure: a port is taken, or the log cannot be written.
        SettingsError: the keys are not usable, or the store is not.
    """

    def __init__(self, settings: Settings, signals: _Signals) -> None:
        # What is heavy is imported here, since `concord --help` imports this module.
        import structlog

        from facade.watch import logs, tracing
        from facade.watch.supervisor import Supervisor
        from facade.wire.server import HttpServer, listener

        logs.configure(settings.log_level)
        give_back_large_blocks()
        self._signals = signals
        self._failure: ServerFailure | None = None
        self._supervisor: Supervisor | None = None
        server = None
        self._announced = threading.Event()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._send_spans = tracing.start(settings.otlp_endpoint) if settings.otlp_endpoint else lambda: None
        if not settings.triton_url:
            http_port = settings.http_port if settings.triton_http else None
            ports = Ports(http_port, settings.grpc_port, settings.metrics_port).chosen(RELEASE_SECONDS)
            chosen = {"grpc_port": ports.grpc, "metrics_port": ports.metrics}
            chosen |= {} if ports.http is None else {"http_port": ports.http}
            log_file = settings.log_file or _default_log(settings.grpc_port)
            settings = settings.model_copy(update=chosen | {"log_file": log_file})
            server = _triton(settings, ports)
            self._supervisor = Supervisor(server, self._notice, self._fail)
        if settings.accounts != "off":
            _open_store(settings)
        self._settings = settings
        self._socket = listener(settings.host, settings.port)
        try:
            if self._supervisor is not None:
                self._supervisor.start()
            # The page takes seconds to import, in which Triton starts.
            from facade.app import create_app

            self._app = create_app(settings, server=server)
        except BaseException:
            self._stop_triton(at_once=lambda: True)
            raise
        self._server = HttpServer(self._app, settings, self._stopping)
        structlog.get_logger("facade.settings").info("settings", **settings.shown())

    def run(self) -> int:
        self._signals.stop = lambda: self._server.stop(at_once=self._signals.impatient)
        try:
            if not self._signals.count:
                with asyncio.Runner(loop_factory=self._server.config.get_loop_factory()) as runner:
                    runner.run(self._serve())
        finally:
            self._stop_triton(at_once=lambda: self._signals.impatient or self._failure is not None)
            self._send_spans()
        if self._failure is None:
            return 0
        _say(f"{self._failure}\nTriton's log: {self._settings.log_file}\n`concord doctor` looks for common causes")
        return _FAILED

    async def _serve(self) -> None:
        self._loop = asyncio.get_running_loop()
        host, port = self._socket.getsockname()[:2]
        triton = self._settings.triton_url
        _say(
            f"the facade is at http://{f'[{host}]' if ':' in host else host}:{port}; "
            + (f"Triton is at {triton}" if triton else "Triton is starting")
        )
        self._announced.set()
        await self._server.serve([self._socket])

    def _stopping(self) -> None:
        _say("stopping; requests that were accepted are answered first (again: stop at once)")
        self._app.state.readiness.stop()

    def _stop_triton(self, at_once: Callable[[], bool]) -> None:
        self._announced.set()
        if self._supervisor is not None:
            self._supervisor.stop(at_once)

    def _notice(self, words: str) -> None:
        self._announced.wait()
        _say(words)
        self._in_loop(lambda: self._app.state.readiness.doubt())

    def _fail(self, failure: ServerFailure) -> None:
        self._announced.wait()
        self._failure = failure
        self._in_loop(self._server.stop)

    def _in_loop(self, act: Callable[[], None]) -> None:
        # The loop may be closed already: then there is nothing left to tell.
        with suppress(RuntimeError):
            if self._loop is not None:
                self._loop.call_soon_threadsafe(act)


def _open_store(settings: Settings) -> None:
    """Migrates it up, before anything is started that would have to be stopped again."""
    try:
        from facade.store.store import open_once
    except ImportError as error:
        needed = "it needs the extra `accounts`: pip install 'concord[accounts]'"
        raise SettingsError(f"--accounts (CONCORD_ACCOUNTS): {needed}") from error
    if trouble := open_once(settings.store_url):
        raise SettingsError(f"--store (CONCORD_STORE): {trouble}")


def _triton(settings: Settings, ports: Ports) -> EmbeddedServer:
    log_path = settings.log_file
    assert log_path is not None
    try:
        log_path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        if log_path.is_file():
            log_path.replace(f"{log_path}.1")
        open_log(log_path).close()
    except OSError as error:
        raise ServerFailure("log file", f"{log_path}: {error.strerror}", "a file that can be written") from error
    # Triton's models read their limits from the environment they are started in.
    os.environ |= {"CONCORD_MAX_BYTES": str(settings.max_bytes), "CONCORD_MAX_PIXELS": str(settings.max_pixels)}
    return EmbeddedServer(
        settings.model_repositories,
        ports=ports,
        model_config_name=settings.model_config_name,
        load=settings.load,
        log_path=log_path,
        drain_seconds=min(settings.drain_seconds, DIRECT_SECONDS),
        options=trace_options(settings.otlp_endpoint) if settings.otlp_endpoint else (),
    )


def _start_again_with_huge_pages() -> None:
    """Starts this program again, unless it was, with large blocks of memory in huge pages.

    gRPC copies an answer in the event loop; of 40 megapixels that takes a tenth of a second, and twice as long in small
    pages. The C library looks for this when a program starts.
    """
    if "GLIBC_TUNABLES" not in os.environ:
        os.environ["GLIBC_TUNABLES"] = HUGE_PAGES
        os.execv(sys.executable, [sys.executable, *sys.orig_argv[1:]])  # noqa: S606


def _default_log(grpc_port: int) -> Path:
    return state_folder() / f"serve-{grpc_port}.log"


def _say(words: str) -> None:
    print(f"concord: {words}", file=sys.stderr, flush=True)


if __name__ == "__main__":
    command = argparse.ArgumentParser(prog="concord serve", description=HELP)
    add_arguments(command)
    sys.exit(run(command.parse_args()))
