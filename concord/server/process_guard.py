"""Runs one command and sees to it that nothing of it is left when the program that asked for it is gone.

Used as ``python -I -S keeper.py LIFELINE GRACE DIRECTORY COMMAND...``. LIFELINE is the read end of a pipe. A byte on
it stops the command: as soon as its process group computes nothing, at the latest after GRACE seconds, it gets
SIGTERM, and is killed if it is then still there although it computes nothing, at the latest after GRACE seconds more.
The lifeline's end kills the command at once, because the writer died in whatever way and nobody waits for it; and so
does SIGTERM to the keeper itself. Afterwards the process group is killed, DIRECTORY is removed and so is the shared
memory whose name starts with that of DIRECTORY.

What the command writes is for its user alone. Its standard output is a log, which is kept from growing for ever.

Waiting for the group to rest is what Triton leaves undone: at SIGTERM it refuses the next step of an ensemble that
is being answered, and it waits for idle HTTP clients to close their connections.

A process of its own, because the kernel's signal at a parent's death follows the *thread* that started a child, and
because a program killed with SIGKILL cannot clean up after itself.
"""

import contextlib
import ctypes
import os
import select
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from types import FrameType

_PR_SET_PDEATHSIG = 1
_SHARED_MEMORY = Path("/dev/shm")  # noqa: S108
_REST_SECONDS = 0.5
_STUCK_SECONDS = 2.0
_LOG_SECONDS = 5.0
_LOG_BYTES = 16 * 2**20


class _Killed(BaseException):
    """The keeper was told to kill the command at once."""


def main(arguments: list[str]) -> int:
    """Keeps the command until it ends; returns its exit status (negative: the signal that ended it)."""
    lifeline, grace, directory, *command = arguments
    os.umask(0o077)
    libc = ctypes.CDLL(None)
    signal.signal(signal.SIGTERM, _raise_killed)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    process = subprocess.Popen(  # noqa: S603
        command, process_group=0, preexec_fn=lambda: libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    )
    try:
        with contextlib.suppress(_Killed):
            _wait(process, int(lifeline), float(grace))
    finally:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        # Before the process is reaped: until then its number cannot belong to another group.
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        status = process.wait()
        shutil.rmtree(directory, ignore_errors=True)
        for region in _SHARED_MEMORY.glob(f"{Path(directory).name}*"):
            region.unlink(missing_ok=True)
    return status


def _wait(process: subprocess.Popen[bytes], lifeline: int, grace: float) -> None:
    """Returns when the process has ended, or when nobody waits for it any more."""
    ended = os.pidfd_open(process.pid)
    while not (readable := select.select([ended, lifeline], [], [], _LOG_SECONDS)[0]):
        _shorten_log()
    if ended in readable or not os.read(lifeline, 1):
        return
    if not _rests(process.pid, [ended, lifeline], _REST_SECONDS, grace):
        process.terminate()
        _rests(process.pid, [ended, lifeline], _STUCK_SECONDS, grace)


def _rests(group: int, ends: list[int], seconds: float, limit: float) -> bool:
    """Waits, at most ``limit``, until a process group used no processor time for some seconds.

    Tells whether it was interrupted: the group's leader or the one who waits for it has ended, and a descriptor of
    ``ends`` is readable.
    """
    deadline = time.monotonic() + limit
    used = _ticks(group)
    while time.monotonic() < deadline:
        if select.select(ends, [], [], seconds)[0]:
            return True
        before, used = used, _ticks(group)
        if used == before:
            break
    return False


def _shorten_log() -> None:
    """Moves a long log to a file beside it. It is copied, because the command cannot be told to open another."""
    if os.fstat(1).st_size > _LOG_BYTES:
        path = Path("/proc/self/fd/1").readlink()
        with contextlib.suppress(OSError):
            shutil.copyfile(path, f"{path}.1")
        os.ftruncate(1, 0)


def _ticks(group: int) -> int:
    """Processor time that the processes of a group have used, in the kernel's ticks."""
    ticks = 0
    for stat in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):
            fields = stat.read_text().rpartition(")")[2].split()
            if int(fields[2]) == group:
                ticks += int(fields[11]) + int(fields[12])
    return ticks


def _raise_killed(_signal: int, _frame: FrameType | None) -> None:
    raise _Killed


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
