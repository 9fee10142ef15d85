"""The embedded server: starts the wheel's ``tritonserver`` on loopback, waits until it answers, leaves nothing behind.

The server is started through :mod:`concord.server.process_guard`, so that it never outlives the program that started
it, however that program ends.
"""

import http.client
import io
import os
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable
from contextlib import ExitStack, closing, suppress
from dataclasses import astuple, dataclass
from pathlib import Path
from typing import BinaryIO, Self

import psutil

from concord.errors import ServerFailure
from concord.server import command_line, process_guard
from concord.server.declared import catalogue, show_exported, unexported
from concord.server.installation import MODEL_REPOSITORIES, Installation
from concord.server.log import reason_of_failure

HOST = "127.0.0.1"
_POLL_SECONDS = 0.05
_STUB_TIMEOUT_SECONDS = 120


@dataclass(frozen=True)
class Ports:
    """The server's three ports on loopback; 0 stands for any free one."""

    http: int = 8000
    grpc: int = 8001
    metrics: int = 8002

    def chosen(self) -> "Ports":
        """These ports with every 0 replaced by a port that is free now.

        Raises:
            ServerFailure: a port is taken.
        """
        free = []
        with ExitStack() as sockets:
            for name, port in zip(("HTTP", "gRPC", "metrics"), astuple(self), strict=True):
                listener = sockets.enter_context(socket.socket())
                listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                try:
                    listener.bind((HOST, port))
                except OSError as error:
                    raise ServerFailure(f"{name} port", f"{port} on {HOST} is taken", "a free port") from error
                free.append(listener.getsockname()[1])
        return Ports(*free)


class EmbeddedServer:
    """A ``tritonserver`` of our own on loopback.

    Used as a context manager, or with :meth:`start` and :meth:`stop`.

    Args:
        model_repositories: folders with models. Those whose networks have not been exported are left out, and so are
            the pipelines that need them.
        model_config_name: a profile of ``<model>/configs/``.
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
        log_path: Path | None = None,
        start_seconds: float = 120.0,
        drain_seconds: float = 30.0,
        options: Iterable[str] = (),
    ) -> None:
        self.model_repositories = tuple(Path(folder).absolute() for folder in model_repositories)
        self.ports = ports
        self.model_config_name = model_config_name
        self.log_path = log_path
        self.unexported: set[str] = set()
        self._start_seconds = start_seconds
        self._drain_seconds = drain_seconds
        self._options = tuple(options)
        self._secret = secrets.token_hex(16)
        self._process: subprocess.Popen[bytes] | None = None
        self._lifeline: int | None = None
        self._directory = Path()
        self._shown: list[Path] = []
        self._log: BinaryIO = io.BytesIO()

    @property
    def http_url(self) -> str:
        """``host:port``, as tritonclient wants it."""
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
            ServerFailure: it could not be started; the problem says why in plain words.
        """
        if self.is_alive():
            raise ServerFailure("server", "it is already running")
        installation = Installation.find()
        installation.require_stub()
        for folder in self.model_repositories:
            if not folder.is_dir():
                raise ServerFailure("model repository", f"there is no folder {folder}")
        self.ports = self.ports.chosen()
        self.unexported = unexported(self.model_repositories, self.model_config_name)
        # Refuses declarations that Triton would load and nobody could read.
        catalogue(self.model_repositories, self.unexported)
        self._directory = Path(tempfile.mkdtemp(prefix="concord-"))
        installation.assemble(self._directory)
        self._shown = show_exported(self.model_repositories, self.unexported, self._directory)
        prefix = f"{self._directory.name}-"
        lifeline, self._lifeline = os.pipe()
        log_path = self.log_path or self._directory / "server.log"
        with log_path.open("ab") as log:
            # Open from now on: the file may be removed with the folder before it is read.
            self._log.close()
            self._log = log_path.open("rb")
            self._log.seek(log.tell())
            arguments = [str(lifeline), str(self._drain_seconds), str(self._directory), prefix]
            self._process = subprocess.Popen(  # noqa: S603
                [sys.executable, "-I", "-S", process_guard.__file__, *arguments, *self._command(installation, prefix)],
                env=installation.environment(self._directory),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                pass_fds=[lifeline],
                start_new_session=True,
            )
        os.close(lifeline)
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
        if self._lifeline is not None:
            with suppress(BrokenPipeError):
                os.write(self._lifeline, b"\0")
            os.close(self._lifeline)
            self._lifeline = None
        self._process.wait()
        self._process = None
        # Of the log, what can still be asked for is kept, and no file is left open.
        with self._log as log:
            self._log = io.BytesIO(log.read())
        shutil.rmtree(self._directory, ignore_errors=True)

    def restart(self) -> None:
        """Kills whatever is left of the server and starts it again on the same ports; errors as in `start`."""
        self.stop(drain=False)
        self.start()

    def _wait_ready(self) -> None:
        deadline, hidden = time.monotonic() + self._start_seconds, False
        while not self.is_ready():
            if not hidden and self.log():
                # It has read its arguments.
                self._hide_secret()
                hidden = True
            if not self.is_alive():
                raise ServerFailure("server", f"it did not start: {reason_of_failure(self.log())}")
            if time.monotonic() > deadline:
                raise ServerFailure("server", f"it was not ready within {self._start_seconds:g} seconds")
            time.sleep(_POLL_SECONDS)
        self._hide_secret()

    def is_alive(self) -> bool:
        """Whether the server's process runs (it may yet be unable to answer)."""
        return self._process is not None and self._process.poll() is None

    def is_ready(self) -> bool:
        """Whether Triton calls itself ready. A dead stub leaves this True; see :mod:`concord.server.watchdog`."""
        return is_ok(self.ports.http, "/v2/health/ready")

    def processes(self) -> list[psutil.Process]:
        """The server, its stubs and the keeper; empty when it is not running."""
        if self._process is None:
            return []
        with suppress(psutil.NoSuchProcess):
            parent = psutil.Process(self._process.pid)
            return [parent, *parent.children(recursive=True)]
        return []

    def _hide_secret(self) -> None:
        for process in self.processes():
            command_line.hide(process.pid, self._secret)

    def log(self) -> str:
        """What Triton wrote to its log since the last start."""
        start = self._log.tell()
        try:
            return self._log.read().decode(errors="replace")
        finally:
            self._log.seek(start)

    def _command(self, installation: Installation, prefix: str) -> list[str]:
        command = [
            str(installation.wheel / "bin" / "tritonserver"),
            *(f"--model-repository={folder}" for folder in self._shown),
            "--disable-auto-complete-config",
            f"--backend-directory={self._directory / 'backends'}",
            f"--backend-config=python,shm-region-prefix-name={prefix}",
            f"--backend-config=python,stub-timeout-seconds={_STUB_TIMEOUT_SECONDS}",
            f"--cache-directory={installation.wheel / 'caches'}",
            f"--exit-timeout-secs={max(1, round(self._drain_seconds))}",
            f"--http-address={HOST}",
            f"--http-port={self.ports.http}",
            f"--grpc-address={HOST}",
            f"--grpc-port={self.ports.grpc}",
            f"--metrics-address={HOST}",
            f"--metrics-port={self.ports.metrics}",
            "--metrics-config=summary_latencies=true",
            *restrictions(self._secret),
        ]
        if self.model_config_name:
            command.append(f"--model-config-name={self.model_config_name}")
        return command + list(self._options)


def restrictions(secret: str) -> list[str]:
    """Options that keep Triton's shared memory, tracing and log settings from clients that do not send the secret."""
    restricted = f"shared-memory,trace,logging:concord-admin={secret}"
    return [f"--http-restricted-api={restricted}", f"--grpc-restricted-protocol={restricted}"]


def is_ok(port: int, path: str) -> bool:
    """Whether a server on loopback answers GET with 200."""
    with closing(http.client.HTTPConnection(HOST, port, timeout=5)) as connection:
        with suppress(OSError, http.client.HTTPException):
            connection.request("GET", path)
            return connection.getresponse().status == http.client.OK
        return False
