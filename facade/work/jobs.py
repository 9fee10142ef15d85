"""Running requests by their id, so that they can be cancelled."""

import asyncio
import re
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from weakref import WeakValueDictionary

from facade.problems import Problem

JOB_ID_PATTERN = "^[A-Za-z0-9._:=+-]{1,128}$"
_ALLOWED = "1 to 128 letters, digits and . _ : = + -"


@dataclass
class _Job:
    task: asyncio.Task[object]
    owner: str
    cancelled: bool = False


def is_job_id(text: str) -> bool:
    return re.fullmatch(JOB_ID_PATTERN, text) is not None


class Jobs:
    """The jobs that are running in one event loop; a job that has ended is forgotten."""

    def __init__(self) -> None:
        self._running: dict[str, _Job] = {}
        self._claims: WeakValueDictionary[str, asyncio.Task[object]] = WeakValueDictionary()

    def __contains__(self, job: str) -> bool:
        return job in self._running

    def __len__(self) -> int:
        return len(self._running)

    def claim(self, job: str) -> bool:
        """Keeps an id for a job that the current task will run, until the task ends; whether nobody else has it."""
        task, holder = asyncio.current_task(), self._claims.get(job)
        assert task is not None
        if job in self._running or not (holder is None or holder is task or holder.done()):
            return False
        self._claims[job] = task
        return True

    @contextmanager
    def running(self, job: str | None = None, owner: str = "") -> Iterator[str]:
        """Makes the current task a job for as long as the block runs, and gives the job's id.

        None for `job` makes a new id; only `owner` may cancel it.

        Raises:
            Problem: the id cannot be or is taken; or, in the block's place, the job was cancelled.
        """
        if job is None:
            job = uuid.uuid4().hex
        elif not is_job_id(job):
            raise Problem("invalid_setting", "this is no id for a job", field="X-Job-Id", allowed=_ALLOWED)
        elif job in self._running:
            raise Problem("job_in_use", f"the job {job} is running", field="X-Job-Id", allowed="an id of its own")
        task = asyncio.current_task()
        assert task is not None
        entry = self._running[job] = _Job(task, owner)
        before = task.cancelling()
        try:
            yield job
        except asyncio.CancelledError:
            # Whoever else wants the task to end still gets that.
            if entry.cancelled and task.uncancel() <= before:
                raise Problem("cancelled", "the request was cancelled") from None
            raise
        finally:
            del self._running[job]

    def cancel(self, job: str, owner: str = "") -> bool:
        """Ends a job; whether there was one of this owner's."""
        entry = self._running.get(job)
        if entry is None or entry.owner != owner:
            return False
        if not entry.cancelled:
            entry.cancelled = True
            entry.task.cancel()
        return True
