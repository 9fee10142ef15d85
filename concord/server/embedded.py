"""The embedded server: starts the wheel's ``tritonserver`` on loopback, waits until it answers, leaves nothing behind.

The server is started through :mod:`concord.server.process_guard`, so that it never outlives the program that started
it, however that program ends.
"""

import io
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Collection, Iterable
from contextlib import ExitStack, suppress
from dataclasses import astuple, dataclass
from pathlib import Path
from typing import BinaryIO, Self

import psutil
from tritonclient.utils import InferenceServerException  # type: ignore[import-untyped]

from concord.errors import ServerFailure
from concord.server import leftovers, process_guard, room
from concord.server.administration import Administration
from concord.server.installation import MODEL_REPOSITORIES, Installation
from concord.server.log import open_log, reason_of_failure
from concord.server.roster import Roster
from concord.server.view import View

HOST = "127.0.0.1"
RELEASE_SECONDS = 3.0
"""How long the ports of a server that was killed may stay taken: its memory is given back before them."""

_ANSWER_SECONDS = 5.0
_POLL_SECONDS = 0.05


@dataclass(frozen=True)
class Ports:
    """The server's three ports on loopback; 0 stands for any free one, and no HTTP port for no HTTP."""

    http: int | None = None
    grpc: int = 8001
    metrics: int = 8002

    def chosen(self, patience: float = 0.0) -> "Ports":
        """These ports with every 0 replaced by a port that is free now.

        Args:
            patience: seconds to wait for a port that is taken; a server that was killed may not have ended yet.

        Raises:
            ServerFailure: a port is taken.
        """
        end = time.monotonic() + patience
        with ExitStack() as sockets:

            def free(name: str, port: int) -> int:
                listener = sockets.enter_context(socket.socket())
                listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                while True:
                    try:
                        listener.bind((HOST, port))
                        return int(listener.getsockname()[1])
                    except OSError as error:
                        if time.monotonic() >= end:
                            raise ServerFailure(f"{name} port", f"{port} on {HOST} is taken", "a free port") from error
                    time.sleep(_POLL_SECONDS)

            http = None if self.http is None else free("HTTP", self.http)
            return Ports(http, free("gRPC", self.grpc), free("metrics", self.metrics))


class EmbeddedServer:
    """A ``tritonserver`` of our own on loopback.

    Used as a context manager, or with :meth:`start` and :meth:`stop`.

    Args:
        model_repositories: folders with models. Those whose networks have not been exported are left out, and so are
            the pipelines that need them.
        model_config_name: a profile of ``<model>/configs/``, or `AUTO`; see :mod:`concord.server.choice`.
        load: the public models to start with; None for all. See :mod:`concord.server.changes` for the others.
        log_path: file that receives Triton's log; without it the log is kept only until the server stops.
        start_seconds: how long a start may take.
        drain_seconds: how long a stop waits for requests that are being answered.
        options: further arguments for ``tritonserver``.
    """

    def __init__(
        self,
        model_repositories: Iterable[Path] = MODEL_REPOSITORIES,
        *,
        ports: Ports = Ports(),
        model_config_name: str = "",
        load: Collection[str] | None = None,
        log_path: Path | None = None,
        start_seconds: float = 120.0,
        drain_seconds: float = 30.0,
        options: Iterable[str] = (),
    ) -> None:
        self.model_repositories = tuple(Path(folder).absolute() for folder in model_repositories)
        self.ports = ports
        self.log_path = log_path
        self.roster = Roster(self.model_repositories, model_config_name, load)
        self._start_seconds = start_seconds
        self._drain_seconds = drain_seconds
        self._options = tuple(options)
        self.administration = Administration()
        self._process: subprocess.Popen[bytes] | None = None
        self._lifeline = -1
        self._directory = Path()
        self.view = View(self.model_repositories)
        self._log: BinaryIO = io.BytesIO()

    @property
    def http_url(self) -> str:
        """``host:port``, as tritonclient wants it, of a server that has an HTTP port."""
        return f"{HOST}:{self.ports.http}"

    @property
    def grpc_url(self) -> str:
        """``host:port`` of the gRPC endpoint."""
        return f"{HOST}:{self.ports.grpc}"

    @property
    def metrics_url(self) -> str:
        """Full URL of the Prometheus metrics."""
        return f"http://{HOST}:{self.ports.metrics}/metrics"

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_error: object) -> None:
        self.stop()

    def start(self) -> None:
        """Starts the server and returns when it is ready.

        Raises:
            ServerFailure: it could not be started; the problem says why in plain words. `NoRoom` where a disk or shared
                memory is full.
        """
        if self.is_alive():
            raise ServerFailure("server", "it is already running")
        installation = Installation.find()
        installation.require_stub()
        for folder in self.model_repositories:
            if not folder.is_dir():
                raise ServerFailure("model repository", f"there is no folder {folder}")
        self.ports = self.ports.chosen(RELEASE_SECONDS)
        self.roster.begin()
        try:
            self._launch(installation)
        except OSError as error:
            raise ServerFailure("server", f"its files cannot be written: {error.strerror or error}") from error
        try:
            self._wait_ready()
        except BaseException:
            self.stop(drain=False)
            raise

    def stop(self, *, drain: bool = True) -> None:
        """Stops the server and returns when nothing of it is left; ``drain``: its requests are finished first."""
        if self._process is None:
            return
        if not drain:
            self._process.send_signal(signal.SIGTERM)
        with suppress(BrokenPipeError):
            os.write(self._lifeline, b"\0")
        self._process.wait()
        # Not before: its end tells the keeper that nobody waits for the requests any more.
        os.close(self._lifeline)
        self._process = None
        # Of the log, what can still be asked for is kept, and no file is left open.
        with self._log as log:
            self._log = io.BytesIO(log.read())
        leftovers.remove(self._directory.name)

    def restart(self) -> None:
        """Kills whatever is left of the server and starts it again on the same ports; errors as in `start`."""
        self.stop(drain=False)
        self.start()

    def reload(self, model: str) -> None:
        """Has a model loaded again whose process has ended, while the others go on; nothing where it is not wanted.

        Raises:
            InferenceServerException: it could not be loaded.
        """
        with self.roster.locks[model]:
            if model in self.roster.loaded:
                self.view.show_reloaded(model, self.roster.chosen)
                self.load(model)

    def load(self, model: str) -> None:
        """Has Triton load one of its models as the view shows it; what answers for it goes on until that is done.

        Raises:
            InferenceServerException: it could not be loaded; what was there before still is.
        """
        self.administration.load(self.grpc_url, model, self._start_seconds)
        leftovers.conceal(self._directory.name)

    def _launch(self, installation: Installation) -> None:
        """Makes the server's folder and starts its process; raises OSError, or NoRoom."""
        leftovers.sweep()
        room.require()
        self._directory, locks = leftovers.claim()
        with ExitStack() as opened, ExitStack() as failed:
            failed.callback(leftovers.remove, self._directory.name)
            for lock in locks:
                opened.callback(os.close, lock)
            installation.assemble(self._directory)
            self.view.open(self._directory)
            self.view.show(self.roster.inventory.runs, self.roster.chosen)
            log_path = self.log_path or self._directory / "server.log"
            log = opened.enter_context(open_log(log_path))
            self._log.close()
            # Open from now on: the file may be removed with the folder before it is read.
            self._log = log_path.open("rb")
            self._log.seek(log.tell())
            lifeline, self._lifeline = os.pipe()
            opened.callback(os.close, lifeline)
            failed.callback(os.close, self._lifeline)
            arguments = [str(lifeline), str(self._drain_seconds), str(self._directory)]
            self._process = subprocess.Popen(  # noqa: S603
                [sys.executable, "-I", "-S", process_guard.__file__, *arguments, *self._command(installation)],
                env=installation.environment(self._directory),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                pass_fds=[lifeline, *locks],
                start_new_session=True,
            )
            failed.pop_all()

    def _wait_ready(self) -> None:
        deadline = time.monotonic() + self._start_seconds
        while not self.is_ready():
            if not self.is_alive():
                raise ServerFailure("server", f"it did not start: {reason_of_failure(self.log())}")
            if time.monotonic() > deadline:
                raise ServerFailure("server", f"it was not ready within {self._start_seconds:g} seconds")
            time.sleep(_POLL_SECONDS)
        leftovers.conceal(self._directory.name)

    def is_alive(self) -> bool:
        """Whether the server's process runs (it may yet be unable to answer)."""
        return self._process is not None and self._process.poll() is None

    def is_ready(self) -> bool:
        """Whether Triton calls itself ready. A dead stub leaves this True; see :mod:`concord.server.watchdog`."""
        with suppress(OSError, InferenceServerException):
            # Triton opens them one after the other.
            for port in filter(None, astuple(self.ports)):
                socket.create_connection((HOST, port), _ANSWER_SECONDS).close()
            return self.administration.is_ready(self.grpc_url)
        return False

    def processes(self) -> list[psutil.Process]:
        """The server, its stubs and the keeper; empty when it is not running."""
        if self._process is None:
            return []
        with suppress(psutil.NoSuchProcess):
            parent = psutil.Process(self._process.pid)
            return [parent, *parent.children(recursive=True)]
        return []

    def log(self) -> str:
        """What Triton wrote to its log since the last start."""
        start = self._log.tell()
        try:
            return self._log.read().decode(errors="replace")
        finally:
            self._log.seek(start)

    def _command(self, installation: Installation) -> list[str]:
        http = ["--allow-http=false"]
        if self.ports.http is not None:
            http = [f"--http-address={HOST}", f"--http-port={self.ports.http}"]
        command = [
            *installation.command(self._directory),
            *(f"--model-repository={folder}" for folder in self.view.folders),
            "--disable-auto-complete-config",
            f"--exit-timeout-secs={max(1, round(self._drain_seconds))}",
            *http,
            f"--grpc-address={HOST}",
            # Or it keeps the memory of so many answers, each as large as its largest so far.
            "--grpc-infer-allocation-pool-size=0",
            f"--grpc-port={self.ports.grpc}",
            f"--metrics-address={HOST}",
            f"--metrics-port={self.ports.metrics}",
            "--metrics-config=summary_latencies=true",
            "--model-control-mode=explicit",
            *(f"--load-model={name}" for name in sorted(self.roster.loaded)),
            *self.administration.options(),
        ]
        return command + list(self._options)
