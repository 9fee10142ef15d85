"""Room that a server needs outside its processes: on the disk and in shared memory."""

import os
import tempfile
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

import psutil

from concord.errors import ServerFailure
from concord.server.leftovers import SHARED_MEMORY

DISK = 16 * 2**20
"""Bytes for a server's folder. Python writes half a file where there is less, and every model then fails to load it."""

MEMORY_OF_START = 32 * 2**20
"""Bytes for the models' processes, each of which begins with a mebibyte."""

_PROCESS = 48 * 2**20  # of a model, with its libraries
_OF_FILE = 1.5  # a network takes so many times its file: as it is there, and in part as its engine wants it
_GROUPS = Path("/sys/fs/cgroup")
_LIMITS = (
    ("memory.max", "memory.current", "memory.stat"),
    ("memory/memory.limit_in_bytes", "memory/memory.usage_in_bytes", "memory/memory.stat"),
)


class NoRoom(ServerFailure, code="no_room", http_status=507):
    """Something cannot be started, because memory or a disk is full; the same works when there is room again."""


def free_bytes(folder: Path) -> int:
    """What a user may still write there; raises OSError where it is missing."""
    status = os.statvfs(folder)
    return status.f_bavail * status.f_frsize


def free_memory() -> int:
    """Bytes that new processes may take: of the machine's, and of what the group that this one is in may have."""
    free = [psutil.virtual_memory().available]
    for names in _LIMITS:
        with suppress(OSError, ValueError):
            limit, used, statistics = (_GROUPS.joinpath(name).read_text() for name in names)
            kept = dict(line.split() for line in statistics.splitlines())
            # Files that were read are kept in memory only as long as nobody wants it.
            free.append(int(limit) - int(used) + int(kept["inactive_file"]))
    return min(free)


def require_memory(files: Iterable[int]) -> None:
    """Raises NoRoom where processes would not find their memory that load files of these sizes, 0 for none."""
    needed, free = sum(_PROCESS + int(_OF_FILE * size) for size in files), free_memory()
    if free < needed:
        raise NoRoom("memory", f"{max(0, free) >> 20} MiB are free", f"at least {-(-needed >> 20)} MiB")


def require() -> None:
    """Raises NoRoom where a server would not find what it needs, OSError where a place is missing."""
    for name, folder, needed in (
        ("folder for temporary files", Path(tempfile.gettempdir()), DISK),
        ("shared memory", SHARED_MEMORY, MEMORY_OF_START),
    ):
        free = free_bytes(folder)
        if free < needed:
            # Rounded down: what is said to be free is there.
            raise NoRoom(name, f"{free >> 20} MiB are free in {folder}", f"at least {needed >> 20} MiB")
