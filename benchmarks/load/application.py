"""A server in processes of its own, and requests for it."""

import http.client
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass

import httpx
import psutil

from benchmarks.load.generator import Target
from concord.server.embedded import HOST, Ports

STOP_SECONDS = 10.0  # LitServe does not end by itself


@dataclass(frozen=True)
class Application:
    """A running server: its port and its first process."""

    port: int
    process: psutil.Process

    def processes(self) -> list[psutil.Process]:
        """All of the server's; empty if it has ended."""
        try:
            return [self.process, *self.process.children(recursive=True)]
        except psutil.NoSuchProcess:
            return []

    def form(self, path: str, fields: dict[str, bytes]) -> Target:
        """A POST of a form; every field but the text is a file."""
        texts = {name: value.decode() for name, value in fields.items() if name == "text"}
        files = {name: value for name, value in fields.items() if name not in texts}
        return Target.of(httpx.Request("POST", f"http://{HOST}:{self.port}{path}", data=texts, files=files))


@contextmanager
def started(module: Sequence[str], path: str, seconds: float) -> Iterator[Application]:
    """Runs a module with a port behind its arguments; RuntimeError if GET on the path does not answer 200 in time."""
    port = Ports(grpc=0, metrics=0).chosen().grpc
    command = [sys.executable, "-m", *module, str(port)]
    process = psutil.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True)
    application = Application(port, process)
    try:
        began = time.monotonic()
        while not _is_ok(port, path):
            if process.poll() is not None:
                raise RuntimeError(f"{module[0]} ended before it was ready (exit status {process.poll()})")
            if time.monotonic() - began > seconds:
                raise RuntimeError(f"{module[0]} was not ready within {seconds:g} s")
            time.sleep(0.1)
        yield application
    finally:
        everything = application.processes()
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGINT)
        _, left = psutil.wait_procs(everything, STOP_SECONDS)
        for each in left:
            each.kill()


def _is_ok(port: int, path: str) -> bool:
    with closing(http.client.HTTPConnection(HOST, port, timeout=5)) as connection:
        with suppress(OSError, http.client.HTTPException):
            connection.request("GET", path)
            return connection.getresponse().status == http.client.OK
        return False
