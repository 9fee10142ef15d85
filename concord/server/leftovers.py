"""What a server has outside its processes, and how the next start removes what a killed one left of it.

The server NAME has the folder NAME among the temporary files, and in shared memory the regions NAME-* and the file
NAME. Its keeper holds the locks of the folder and of that file for as long as it lives: of both, because containers may
share the one place and not the other.
"""

import fcntl
import math
import os
import re
import shutil
import tempfile
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

import psutil

PREFIX = "concord-triton-"
SHARED_MEMORY = Path("/dev/shm")  # noqa: S108
_NAME = re.compile(rf"{PREFIX}[a-z0-9_]{{8}}")
# Fixed in Triton's Python backend, whatever the folder for temporary files is.
_ENVIRONMENTS = Path("/tmp")  # noqa: S108


def claim() -> tuple[Path, list[int]]:
    """The folder of a new server, and descriptors: the locks are held until every process has closed them.

    Raises:
        OSError: a folder or a file cannot be made.
    """
    while True:
        folder = Path(tempfile.mkdtemp(prefix=PREFIX))
        locks = _locks(folder.name)
        # Another start may have seen the folder before it was locked: then it is gone now, or will be.
        if locks and folder.is_dir():
            return folder, locks
        _close(locks)


def conceal(name: str) -> None:
    """Keeps other users from reading a server's shared memory, which Triton makes readable whatever the umask is."""
    for region in SHARED_MEMORY.glob(f"{name}-*"):
        with suppress(FileNotFoundError):
            region.chmod(0o600)


def remove(name: str) -> None:
    """Removes everything that the server of this name has left, processes of models among it."""
    assert _NAME.fullmatch(name)
    _kill_orphans(name)
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
            if locks := _locks(name):
                try:
                    remove(name)
                finally:
                    _close(locks)
    _sweep_environments()


def _locks(name: str) -> list[int]:
    """Descriptors of the locked folder, where there is one, and of the locked file; none where a server lives."""
    folder, held = Path(tempfile.gettempdir()) / name, []
    try:
        if folder.is_dir():
            held.append(os.open(folder, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW))
            fcntl.flock(held[0], fcntl.LOCK_EX | fcntl.LOCK_NB)
        held.append(os.open(SHARED_MEMORY / name, os.O_CREAT | os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600))
        fcntl.flock(held[-1], fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        _close(held)
        if isinstance(error, BlockingIOError):
            return []
        raise
    return held


def _close(descriptors: Iterable[int]) -> None:
    for descriptor in descriptors:
        os.close(descriptor)


def _kill_orphans(name: str) -> None:
    """Ends the processes that ran a server's models, which may wait for it in shared memory without end."""
    for process in psutil.process_iter(["cmdline"]):
        program = (process.info["cmdline"] or [""])[0]
        if f"/{name}/" in program:
            with suppress(psutil.NoSuchProcess, psutil.AccessDenied):
                process.kill()


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
