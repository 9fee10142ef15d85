"""Resident memory of a process tree, shared pages counted once."""

import threading
from abc import ABC, abstractmethod
from collections import Counter, defaultdict
from collections.abc import Iterable
from contextlib import suppress
from typing import Self

import numpy as np
import psutil

from concord.server.processes import model_of

MIB = 1 << 20


def resident(processes: Iterable[psutil.Process]) -> int:
    """Bytes of RAM of the processes together: proportional set sizes, so that shared pages count once."""
    return sum(by_model(processes).values())


def by_model(processes: Iterable[psutil.Process]) -> Counter[str]:
    """The same by model; that of the server, of its keeper and of others is at "server"."""
    found = Counter[str]()
    for process in processes:
        with suppress(psutil.Error):
            found[model_of(process.cmdline()) or "server"] += process.memory_full_info().pss
    return found


def instances(processes: Iterable[psutil.Process]) -> dict[str, list[psutil.Process]]:
    """The model processes of a server, by model: one for each instance."""
    stubs = defaultdict(list)
    for process in processes:
        if model := model_of(process.cmdline()):
            stubs[model].append(process)
    return dict(stubs)


class _Watcher(ABC):
    """Context manager that takes a sample every `interval` seconds, in its own thread."""

    interval: float

    def __init__(self) -> None:
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_error: object) -> None:
        self._stop.set()
        self._thread.join()

    @abstractmethod
    def look(self) -> None:
        """Takes one sample."""

    def _watch(self) -> None:
        while not self._stop.wait(self.interval):
            self.look()


class Peak(_Watcher):
    """Context manager that samples the processes' memory; `bytes` is the maximum, `before` the first sample.

    `more` is what each model had more than at first when it was the maximum.
    """

    interval = 0.02

    def __init__(self, processes: list[psutil.Process]) -> None:
        super().__init__()
        self._processes = processes
        self._first = by_model(processes)
        self.bytes = self.before = self._first.total()
        self.more = dict.fromkeys(self._first, 0)

    def look(self) -> None:
        now = by_model(self._processes)
        if now.total() > self.bytes:
            self.bytes = now.total()
            self.more = {model: now[model] - first for model, first in self._first.items()}


class Resident(_Watcher):
    """Context manager that samples one process once a second; `by_quarter` has the means."""

    interval = 1.0  # the process runs for minutes

    def __init__(self, process: psutil.Process) -> None:
        super().__init__()
        self._process = process
        self._bytes: list[int] = []

    def by_quarter(self) -> list[float]:
        """Mean MiB in each quarter of the time."""
        quarters = np.array_split(np.array(self._bytes) / MIB, 4)
        return [float(quarter.mean()) for quarter in quarters if quarter.size]

    def look(self) -> None:
        self._bytes.append(self._process.memory_info().rss)
