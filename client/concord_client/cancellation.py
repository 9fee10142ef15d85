"""What ends a call before its answer: its time, or a cancellation from another thread."""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from copy import copy

from concord_client.catalogue import DEFAULT_DEADLINE
from concord_client.errors import Cancelled


class Cancellation:
    """Handed to blocking calls; `cancel` ends all of them, those in flight and those still to come.

    One object may be given to any number of calls in any number of threads. Asyncio needs none: cancel the task.
    """

    def __init__(self) -> None:
        self._cancelled = threading.Event()
        self._lock = threading.Lock()
        self._stops: list[Callable[[], object]] = []

    def cancel(self) -> None:
        """Makes every call that holds this object raise `Cancelled`; once cancelled it stays so."""
        with self._lock:
            self._cancelled.set()
            stops = list(self._stops)
        for stop in stops:
            stop()

    @property
    def cancelled(self) -> bool:
        """Whether `cancel` was called."""
        return self._cancelled.is_set()

    def wait(self, seconds: float) -> None:
        """Waits; raises `Cancelled` at once when cancelled before the time is over."""
        if self._cancelled.wait(seconds):
            raise Cancelled

    @contextmanager
    def stopping(self, stop: Callable[[], object]) -> Iterator[None]:
        """While the block runs, `cancel` calls ``stop``, from its own thread; before it, raises `Cancelled`."""
        with self._lock:
            if self._cancelled.is_set():
                raise Cancelled
            self._stops.append(stop)
        try:
            yield
        finally:
            with self._lock:
                self._stops.remove(stop)


class Deadline:
    """The time that a call has, from now on.

    Args:
        given: seconds in all; None for `DEFAULT_DEADLINE`, or what `declare` says.
        cancellation: ends the call sooner.
    """

    def __init__(self, given: float | None, cancellation: Cancellation | None = None) -> None:
        self.seconds = DEFAULT_DEADLINE if given is None else given
        self.cancellation = cancellation or Cancellation()
        self._given = given
        self._begun = time.monotonic()

    def under(self, cancellation: Cancellation) -> "Deadline":
        """The same time, with another cancellation."""
        other = copy(self)
        other.cancellation = cancellation
        return other

    def declare(self, seconds: float) -> None:
        """Says what a pipeline declares, which counts where no time was given."""
        if self._given is None:
            self.seconds = seconds

    @property
    def left(self) -> float:
        """Seconds, 0 when it is over."""
        return max(self._begun + self.seconds - time.monotonic(), 0.0)
