"""Room that a server needs outside its processes: on the disk and in shared memory."""

import os
import tempfile
from pathlib import Path

from concord.errors import ServerFailure
from concord.server.leftovers import SHARED_MEMORY

DISK = 16 * 2**20
"""Bytes for a server's folder. Python writes half a file where there is less, and every model then fails to load it."""

MEMORY_OF_START = 32 * 2**20
"""Bytes for the models' processes, each of which begins with a mebibyte."""


class NoRoom(ServerFailure):
    """A server cannot be started, because a file system is full; the same works when there is room again."""


def free_bytes(folder: Path) -> int:
    """What a user may still write there; raises OSError where it is missing."""
    status = os.statvfs(folder)
    return status.f_bavail * status.f_frsize


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
