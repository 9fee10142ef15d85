"""The folder for files that Gradio must have on disk: private, swept while it is used, gone when the program is."""

import asyncio
import fcntl
import os
import shutil
import tempfile
import time
from contextlib import suppress
from pathlib import Path

from facade.problems import Problem

KEPT_SECONDS = 30 * 60
"""How long a file may lie unused."""

SWEPT_SECONDS = 60.0
SET_SECONDS = 10.0
"""How far the day's clock moves between two sweeps when it is only kept right."""

MOST_BYTES = 4 * 2**30
"""What the folder holds at most after a sweep; what was used longest ago goes first. Before it, a quarter more."""

_PREFIX = "concord-page-"
_LOCK = "lock"


class Folder:
    """A folder of the page's own, readable by this user only.

    Making one removes those of programs that ended without doing so: a living program holds its folder's lock.
    """

    def __init__(self) -> None:
        _remove_left_behind()
        self._new_bytes = 0
        self._set_off = _set_off()
        self.path = Path(tempfile.mkdtemp(prefix=_PREFIX))
        self._lock = os.open(self.path / _LOCK, os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600)
        fcntl.flock(self._lock, fcntl.LOCK_EX)

    def holding(self, path: Path) -> Path:
        """The path of a file that is in the folder, resolved.

        Raises:
            Problem: it leads elsewhere; a browser may name any file of the machine.
        """
        # Not every text that a browser may send can be a path.
        with suppress(OSError, ValueError, RuntimeError):
            resolved = path.resolve()
            if resolved.is_relative_to(self.path.resolve()):
                return resolved
        raise Problem("invalid_image", "it was not sent to this page", field="image", allowed="an uploaded file")

    def write(self, name: str, content: bytes) -> Path:
        """A new file of that name, in a folder nobody can guess."""
        file = Path(tempfile.mkdtemp(dir=self.path)) / name
        file.write_bytes(content)
        return file

    def sweep(self, kept_seconds: float = KEPT_SECONDS, most_bytes: int = MOST_BYTES) -> None:
        """Removes files that have not been used for a while, and more of them where they are too large together."""
        self._new_bytes = 0
        now = time.time()
        files: list[tuple[os.stat_result, Path]] = []
        folders: list[tuple[os.stat_result, Path]] = []
        for where, names, file_names in os.walk(self.path):
            # Anything may vanish while it is looked at: browsers and Gradio put files here, and move them.
            for found, entries in ((folders, names), (files, file_names)):
                for entry in entries:
                    with suppress(OSError):
                        path = Path(where, entry)
                        found.append((path.lstat(), path))
        if abs(self._set_off - (set_off := _set_off())) > SET_SECONDS:
            # The day's clock was set, and says nothing of what was used before: all of it counts as used now.
            self._set_off = set_off
            for _, path in (*files, *folders):
                with suppress(OSError):
                    os.utime(path)
            return
        size = sum(stat.st_size for stat, _ in files)
        for stat, file in sorted(files, key=lambda each: each[0].st_mtime):
            if now - stat.st_mtime < kept_seconds and size <= most_bytes:
                break
            if file != self.path / _LOCK:
                with suppress(OSError):
                    file.unlink()
                size -= stat.st_size
        for stat, folder in reversed(folders):
            # One that is not empty stays, and one that was just made for a file.
            if now - stat.st_mtime >= SWEPT_SECONDS:
                with suppress(OSError):
                    folder.rmdir()

    async def grow(self, count: int) -> None:
        """So many bytes were put in. Sweeps when there were many since the last time."""
        self._new_bytes += count
        if self._new_bytes > MOST_BYTES // 4:
            await asyncio.to_thread(self.sweep)

    def remove(self) -> None:
        """Removes the folder with all that is in it; nothing happens the second time."""
        if self._lock >= 0:
            shutil.rmtree(self.path, ignore_errors=True)
            os.close(self._lock)
            self._lock = -1


def _set_off() -> float:
    """The seconds by which the day's clock is ahead of the one that nobody sets."""
    return time.time() - time.monotonic()


def _remove_left_behind() -> None:
    for folder in Path(tempfile.gettempdir()).glob(f"{_PREFIX}*"):
        # Another user's are left alone.
        with suppress(OSError):
            if _is_left_behind(folder):
                shutil.rmtree(folder, ignore_errors=True)


def _is_left_behind(folder: Path) -> bool:
    try:
        lock = os.open(folder / _LOCK, os.O_RDWR | os.O_CLOEXEC)
    except FileNotFoundError:
        # Or it is being made at this moment.
        return time.time() - folder.stat().st_mtime > SWEPT_SECONDS
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    finally:
        os.close(lock)
    return True
