"""Steps of a measurement in processes of their own: what fails, crashes or hangs costs no other step its result.

All steps prepare at once, on all cores; when every one is prepared or has failed, they measure one after the other.
"""

import json
import multiprocessing
import time
import traceback
from collections.abc import Callable, Iterator, Mapping
from multiprocessing.synchronize import Event
from pathlib import Path
from typing import Any, TypeAlias

import psutil

Step: TypeAlias = Callable[[], Iterator[Any]]
"""A function at the top of a module: it prepares and yields None, then measures and yields what JSON can hold."""

POLL = 0.1  # seconds
PROBLEM = "problem"


def run(steps: Mapping[str, Step], folder: Path, prepare_seconds: float, measure_seconds: float) -> None:
    """Runs steps. Each leaves ``<name>.json`` in the folder: what it measured, or {"problem": why there is nothing.}"""
    folder.mkdir(parents=True, exist_ok=True)
    running = {name: Running(name, step, folder / f"{name}.json") for name, step in steps.items()}
    deadline = time.monotonic() + prepare_seconds
    for each in running.values():
        each.wait(each.prepared, deadline, "prepared")
    for each in running.values():
        each.go.set()
        each.wait(each.measured, time.monotonic() + measure_seconds, "measured")


class Running:
    """The process of one step."""

    def __init__(self, name: str, step: Step, place: Path) -> None:
        context = multiprocessing.get_context("spawn")
        self.prepared, self.go, self.measured = context.Event(), context.Event(), context.Event()
        self._name, self._place = name, place
        place.unlink(missing_ok=True)
        self._process = context.Process(target=child, args=(step, place, self.prepared, self.go, self.measured))
        self._process.start()

    def wait(self, done: Event, deadline: float, what: str) -> None:
        """Returns when the step has done that, or has ended; one that takes longer is ended, and says so."""
        began = time.monotonic()
        while not done.wait(POLL) and self._process.is_alive() and time.monotonic() < deadline:
            pass
        if not done.is_set():
            self._end()
            if not self._place.exists():
                late = time.monotonic() >= deadline
                write(self._place, {PROBLEM: f"not {what} in time" if late else "its process died"})
        elif what == "measured":
            self._process.join()
        print(f"{self._name}: {what if done.is_set() else 'failed'}, {time.monotonic() - began:.1f} s", flush=True)

    def _end(self) -> None:
        if self._process.is_alive() and self._process.pid:
            for each in (process := psutil.Process(self._process.pid)).children(recursive=True):
                each.kill()
            process.kill()
        self._process.join()


def child(step: Step, place: Path, prepared: Event, go: Event, measured: Event) -> None:
    """In the step's process."""
    try:
        working = step()
        next(working)
        prepared.set()
        go.wait()
        write(place, next(working))
        measured.set()
    except Exception as error:
        traceback.print_exc()
        first = str(error).strip().partition("\n")[0]
        write(place, {PROBLEM: f"{type(error).__name__}: {first}"[:300]})


def write(place: Path, result: Any) -> None:
    place.write_text(json.dumps(result, indent=1) + "\n")
