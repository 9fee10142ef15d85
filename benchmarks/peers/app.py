"""The other servers, each in its own processes."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass

import psutil

from concord.server.embedded import Ports, is_ok

START_SECONDS = 120.0
STOP_SECONDS = 30.0


@dataclass(frozen=True)
class App:
    """A running server: its port and its first process."""

    port: int
    process: psutil.Process


@contextmanager
def app(module: str, networks: Sequence[str]) -> Iterator[App]:
    """Runs a module of this package that serves the networks at a port; stops all of its processes afterwards.

    Raises:
        RuntimeError: it did not start.
    """
    port = Ports(0, 0, 0).chosen().http
    command = [sys.executable, "-m", f"{__package__}.{module}", str(port), *networks]
    process = psutil.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True)
    try:
        wait_until_healthy(module, port, process)
        yield App(port, process)
    finally:
        everything = tree(process)
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGINT)
        _, left = psutil.wait_procs(everything, STOP_SECONDS)
        for each in left:
            each.kill()


def wait_until_healthy(module: str, port: int, process: psutil.Popen) -> None:
    began = time.monotonic()
    while not is_ok(port, "/health"):
        if process.poll() is not None:
            raise RuntimeError(f"{module} ended before it was ready")
        if time.monotonic() - began > START_SECONDS:
            raise RuntimeError(f"{module} was not ready within {START_SECONDS:g} s")
        time.sleep(0.1)


def tree(process: psutil.Process) -> list[psutil.Process]:
    """A process and its descendants; empty if it has ended."""
    try:
        return [process, *process.children(recursive=True)]
    except psutil.NoSuchProcess:
        return []
