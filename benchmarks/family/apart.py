"""Processes of their own: what one took is free when it ends, and its memory is that of one form of a network."""

import os
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from multiprocessing import get_context
from typing import Any, ParamSpec, TypeVar

import psutil
import torch
from torch import nn

from benchmarks.floors.networks import Answering, Feeds
from concord.instruments.memory import MIB, Peak
from concord.instruments.timing import THREADS
from export.judgement import Samples

Given = ParamSpec("Given")
Value = TypeVar("Value")

_loaded: list[Answering] = []
"""What was loaded in this process."""


class Apart:
    """A process that does one thing after the other."""

    def __init__(self, pool: ProcessPoolExecutor) -> None:
        self._pool = pool

    def run(self, function: Callable[Given, Value], *args: Given.args, **kwargs: Given.kwargs) -> Value:
        """What a function of a module answers there; raises its error, or BrokenExecutor if the process was killed."""
        return self._pool.submit(function, *args, **kwargs).result()

    def load(
        self, feeds: Feeds, loader: Callable[Given, Answering], *args: Given.args, **kwargs: Given.kwargs
    ) -> float:
        """Loads a network there, and runs it once; MiB that the process had more at the most."""
        process = psutil.Process(self.run(pid))
        with Peak([process]) as peak:
            self.run(_load, loader, *args, **kwargs)
            self.run(milliseconds, feeds)
        return (peak.bytes - peak.before) / MIB


class Eager:
    """A network in PyTorch, with random weights; `names` are its inputs in their order."""

    def __init__(self, build: Callable[[], nn.Module], names: Sequence[str]) -> None:
        torch.manual_seed(0)
        torch.set_num_threads(THREADS)
        self._network, self._names = build().requires_grad_(False).eval(), names

    @torch.no_grad()
    def __call__(self, feeds: Feeds) -> Samples:
        found = self._network(*(torch.from_numpy(feeds[name]) for name in self._names))
        return [each.numpy() for each in (found if isinstance(found, tuple) else (found,))]

    @property
    def parameters(self) -> int:
        return sum(each.numel() for each in self._network.parameters())


@contextmanager
def apart() -> Iterator[Apart]:
    """A new process, until the end of the block."""
    with ProcessPoolExecutor(1, get_context("spawn")) as pool:
        yield Apart(pool)


def in_turns(processes: Mapping[str, Apart], feeds: Feeds, rounds: int) -> dict[str, list[float]]:
    """Milliseconds of the networks that were loaded there, which take turns, every other round backwards."""
    spent: dict[str, list[float]] = {name: [] for name in processes}
    order = list(processes.items())
    for number in range(rounds):
        for name, process in order if number % 2 == 0 else reversed(order):
            spent[name].append(process.run(milliseconds, feeds))
    return spent


def pid() -> int:
    """Of the process, which has imported by then what a network needs."""
    return os.getpid()


def milliseconds(feeds: Feeds) -> float:
    """That a run of what was loaded takes."""
    [network] = _loaded
    began = time.perf_counter()
    network(feeds)
    return 1000 * (time.perf_counter() - began)


def answers(given: Sequence[Feeds]) -> list[Samples]:
    """What was loaded answers."""
    [network] = _loaded
    return [network(feeds) for feeds in given]


def parameters() -> int:
    """Of what was loaded, which is `Eager`."""
    [network] = _loaded
    assert isinstance(network, Eager)
    return network.parameters


def _load(loader: Callable[..., Answering], *args: Any, **kwargs: Any) -> None:
    _loaded[:] = [loader(*args, **kwargs)]
