"""What a server has outside its processes, and how the next start removes what a killed one left of it.

The server NAME has the folder NAME among the temporary files, and in shared memory the regions NAME-* and the file
NAME. Its keeper holds the lock of that file for as long as it lives. The file is in shared memory because containers
that share it have temporary folders of their own.
"""

import fcntl
import math
import os
import re
import shutil
import tempfile
from contextlib import suppress
from pathlib import Path

import psutil

PREFIX = "concord-triton-"
SHARED_MEMORY = Path("/dev/shm")  # noqa: S108
_NAME = re.compile(rf"{PREFIX}[a-z0-9_]{{8}}")
# Fixed in Triton's Python backend, whatever the folder for temporary files is.
_ENVIRONMENTS = Path("/tmp")  # noqa: S108


def claim() -> tuple[Path, int]:
    """The folder of a new server, and a descriptor: the lock is held until every process has closed it.

    Raises:
        OSError: a folder or a file cannot be made.
    """
    while True:
        folder = Path(tempfile.mkdtemp(prefix=PREFIX))
        lock = _lock(folder.name)
        # Another start may have seen the folder before it was locked: then it is gone now, or will be.
        if lock is not None and folder.is_dir():
            return folder, lock
        if lock is not None:
            os.close(lock)


def conceal(name: str) -> None:
    """Keeps other users from reading a server's shared memory, which Triton makes readable whatever the umask is."""
    for region in SHARED_MEMORY.glob(f"{name}-*"):
        with suppress(FileNotFoundError):
            region.chmod(0o600)


def remove(name: str) -> None:
    """Removes everything that the server of this name has outside its processes."""
    assert _NAME.fullmatch(name)
    shutil.rmtree(Path(tempfile.gettempdir()) / name, ignore_errors=True)
    for region in SHARED_MEMORY.glob(f"{name}-*"):
        region.unlink(missing_ok=True)
    # The lock goes last: who finds it has something to remove.
    (SHARED_MEMORY / name).unlink(missing_ok=True)


def sweep() -> None:
    """Removes what is left of servers that were killed together with their keepers."""
    places = (Path(tempfile.gettempdir()), SHARED_MEMORY)
    for name in {found[0] for place in places for path in place.iterdir() if (found := _NAME.match(path.name))}:
        # Another user's are left alone.
        with suppress(OSError):
            lock = _lock(name)
            if lock is not None:
                try:
                    remove(name)
                finally:
                    os.close(lock)
    _sweep_environments()


def _lock(name: str) -> int | None:
    lock = os.open(SHARED_MEMORY / name, os.O_CREAT | os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(lock)
        return None
    return lock


def _sweep_environments() -> None:
    """Removes the empty folders that every Triton makes at its start, and leaves when it is killed.

    Nothing says whose they are. A living server of ours never uses its own; those that a foreign one may use stay.
    """
    folders = list(_ENVIRONMENTS.glob("python_env_*"))
    if folders:
        others = (each for each in psutil.process_iter(["name", "cmdline", "create_time"]) if _is_foreign(each))
        oldest = min((each.info["create_time"] for each in others), default=math.inf)
        for folder in folders:
            # One that is not empty stays, and so does another user's.
            with suppress(OSError):
                if folder.stat().st_mtime < oldest:
                    folder.rmdir()


def _is_foreign(process: psutil.Process) -> bool:
    ours = any(PREFIX in word for word in process.info["cmdline"] or ())
    return process.info["name"] == "tritonserver" and not ours
