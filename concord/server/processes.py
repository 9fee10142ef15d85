"""The processes of a server, and which of them have ended."""

import os
import select
from collections.abc import Container, Iterable, Sequence
from contextlib import suppress
from pathlib import Path

import psutil

from concord.server.installation import STUB

SERVER = ""


def model_of(command: Sequence[str]) -> str:
    """The model of a stub, which is started with `<repository>/<model>/<version>/<file>`; empty for others."""
    if len(command) < 2 or Path(command[0]).name != STUB:
        return ""
    return Path(command[1]).parts[-3]


def of_model(model: str, processes: Iterable[psutil.Process]) -> frozenset[psutil.Process]:
    """Those that run a model."""
    found = set()
    for process in processes:
        with suppress(psutil.Error):
            if model_of(process.cmdline()) == model:
                found.add(process)
    return frozenset(found)


class Processes:
    """The processes that are known, each by the name of the model that it runs; the server's own is `SERVER`.

    The kernel tells at once that one has ended, where Triton notices it only when it asks the process something.
    """

    def __init__(self) -> None:
        self._poll = select.poll()
        self._known: dict[int, tuple[str, psutil.Process]] = {}

    def know(self, processes: Iterable[psutil.Process]) -> None:
        """Adds those of a server that are not known; of others, such as the children of stubs, nothing is asked."""
        for process in processes:
            with suppress(psutil.Error, ProcessLookupError):
                name = _name_of(process)
                if name is not None and process not in {known for _, known in self._known.values()}:
                    descriptor = os.pidfd_open(process.pid)
                    self._known[descriptor] = name, process
                    self._poll.register(descriptor, select.POLLIN)

    def ended(self, dismissed: Container[psutil.Process] = ()) -> set[str]:
        """The names of those that have ended, which are then known no more; without those that were to end."""
        ended = [self._forget(descriptor) for descriptor, _ in self._poll.poll(0)]
        return {name for name, process in ended if process not in dismissed}

    def kill(self, model: str) -> None:
        """Ends those of a model, which are then known no more."""
        for descriptor, (name, process) in list(self._known.items()):
            if name == model:
                with suppress(psutil.NoSuchProcess):
                    process.kill()
                self._forget(descriptor)

    def close(self) -> None:
        """From now on none is known."""
        for descriptor in list(self._known):
            self._forget(descriptor)

    def _forget(self, descriptor: int) -> tuple[str, psutil.Process]:
        self._poll.unregister(descriptor)
        os.close(descriptor)
        return self._known.pop(descriptor)


def _name_of(process: psutil.Process) -> str | None:
    """The model of a stub, `SERVER`, or None for any other process; raises psutil.Error."""
    return SERVER if process.name() == "tritonserver" else model_of(process.cmdline()) or None
