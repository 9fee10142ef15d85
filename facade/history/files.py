"""The folder of what is kept: files of this user alone, each whole on the disk when it is acknowledged."""

import os
import re
from collections.abc import Iterable, Mapping
from contextlib import suppress
from pathlib import Path

_NAME = re.compile(r"[0-9a-f]{64}")


class Files:
    """Those of one store, in a folder that nothing else writes to.

    Raises:
        OSError: of every call: the folder or a file cannot be used; `errno` tells a full disk.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def make(self) -> None:
        """Makes the folder, where there is none."""
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)

    def write(self, contents: Mapping[str, bytes]) -> None:
        """Writes files by their names; they and their names last from then on. What fails may leave some of them."""
        for name, content in contents.items():
            with open(self._folder / name, "xb", opener=_private) as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
        folder = os.open(self._folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)

    def read(self, name: str) -> bytes:
        return (self._folder / name).read_bytes()

    def remove(self, names: Iterable[str]) -> None:
        """Removes files; one that is gone already is no error, and one that cannot be removed is left to a sweep."""
        for name in names:
            with suppress(OSError):
                (self._folder / name).unlink()

    def names(self) -> set[str]:
        """Of all files that are there."""
        with os.scandir(self._folder) as entries:
            return {entry.name for entry in entries if _NAME.fullmatch(entry.name)}


def _private(path: str, flags: int) -> int:
    return os.open(path, flags, 0o600)
