"""Zip archives of photographs: read from memory within bounds, written file by file; nothing touches the disk."""

import io
import re
import time
import unicodedata
import zipfile
import zlib
from collections.abc import Container, Iterator
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Any

from concord.errors import ConcordError, ImageTooLarge
from facade.wire.pieces import sliced

_MAX_DIRECTORY = 2**20
"""Bytes of a zip file's directory: `zipfile` makes an object for every entry before they can be counted."""
_CHUNK = 2**16
_METHODS = {zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED}
_ENCRYPTED = 1
_UNSAFE = re.compile(r"[^\w ()+,.=@~-]")
_RESERVED = re.compile(r"(con|prn|aux|nul|com\d|lpt\d)(\.|$)", re.IGNORECASE)
_LONGEST_PART = 100  # characters
_MOST_PARTS = 8


class InvalidArchive(ConcordError, code="invalid_archive", http_status=400):
    """The bytes are no zip file, or one that cannot be read."""


class ArchiveTooLarge(ConcordError, code="request_too_large", http_status=413):
    """More files or bytes than the bounds allow."""


@dataclass(frozen=True)
class Bounds:
    """How many files a batch may hold, masks among them, and how many bytes in all and in one, unpacked."""

    files: int
    bytes: int
    file_bytes: int


class Archive:
    """A zip file in memory; its files are unpacked one at a time, when they are read.

    Folders, hidden files and what macOS adds beside the files are passed over.

    Raises:
        InvalidArchive: not a readable zip file, or nothing in it.
        ArchiveTooLarge: too many files, or more bytes than allowed by what it says of itself.
    """

    def __init__(self, content: bytes, bounds: Bounds) -> None:
        self._bounds = bounds
        self._unread = bounds.bytes
        try:
            self._zip = zipfile.ZipFile(_DirectoryBound(content))
        except (zipfile.BadZipFile, NotImplementedError, ValueError, OverflowError) as error:
            raise InvalidArchive("archive", "not a readable zip file", "a complete zip file") from error
        self._entries = {info.filename: info for info in self._zip.infolist() if _is_wanted(info)}
        self.names = list(self._entries)
        if not self._entries:
            raise InvalidArchive("archive", "there is no file in it", "a zip file of photographs")
        if len(self._entries) > bounds.files:
            raise ArchiveTooLarge("archive", f"{len(self._entries)} files", f"at most {bounds.files} files")
        declared = sum(info.file_size for info in self._entries.values())
        if declared > bounds.bytes:
            raise ArchiveTooLarge("archive", f"{declared} bytes unpacked", f"at most {bounds.bytes} bytes")

    def read(self, name: str) -> bytes:
        """Unpacks one file, counting as it goes.

        Raises:
            InvalidArchive: the file is damaged, encrypted, or packed in a way that cannot be unpacked within bounds.
            ImageTooLarge: it is larger than a file may be.
            ArchiveTooLarge: the files read so far are larger than all may be.
        """
        info, bounds = self._entries[name], self._bounds
        if info.flag_bits & _ENCRYPTED:
            raise InvalidArchive("archive", "the file is encrypted", "files without a password")
        if info.compress_type not in _METHODS:
            raise InvalidArchive("archive", "the file is packed in a rare way", "files that are stored or deflated")
        content = bytearray()
        try:
            with self._zip.open(info) as file:
                while chunk := file.read(_CHUNK):
                    content += chunk
                    self._unread -= len(chunk)
                    if len(content) > bounds.file_bytes:
                        problem = f"more than {len(content) - 1} bytes"
                        raise ImageTooLarge("image", problem, f"at most {bounds.file_bytes} bytes")
                    if self._unread < 0:
                        raise ArchiveTooLarge("archive", "too many bytes unpacked", f"at most {bounds.bytes} bytes")
        except (zipfile.BadZipFile, zlib.error, EOFError, OSError, ValueError, NotImplementedError) as error:
            raise InvalidArchive("archive", "the file is damaged", "a complete zip file") from error
        return bytes(content)


class ZipStream:
    """A zip file that is sent while it is made: every call gives the pieces that come next."""

    def __init__(self) -> None:
        self._pipe = _Pipe()
        self._zip = zipfile.ZipFile(self._pipe, "w", zipfile.ZIP_STORED)

    def add(self, name: str, content: bytes) -> Iterator[bytes]:
        """Adds a file; it is stored as it is, pictures do not become smaller."""
        entry = zipfile.ZipInfo(name, time.localtime()[:6])
        entry.file_size = len(content)
        with self._zip.open(entry, "w") as file:
            for piece in sliced(content):
                file.write(piece)
                yield self._pipe.take()
        yield self._pipe.take()

    def close(self) -> Iterator[bytes]:
        self._zip.close()
        yield self._pipe.take()


class SafeNames:
    """Names for the files of an answer: good on every system, inside its folder, and each only once.

    No file is called as a folder is. Those of `files` are taken already.
    """

    def __init__(self, *files: str) -> None:
        self._files = {name.casefold() for name in files}
        self._folders: set[str] = set()

    def of(self, name: str, suffix: str) -> str:
        """A name like `name` with another suffix; folders are kept, what leads out of them is not."""
        parts = [_safe_part(part) for part in re.split(r"[/\\]", name) if part.strip(". ")]
        *folders, file = parts[-_MOST_PARTS:] or ["image"]
        path = ""
        for folder in folders:
            path = _free(path + folder, "", self._files)
            self._folders.add(path.casefold())
            path += "/"
        safe = _free(path + PurePosixPath(file).stem, suffix, self._files | self._folders)
        self._files.add(safe.casefold())
        return safe


def _free(stem: str, suffix: str, taken: Container[str]) -> str:
    name, number = f"{stem}{suffix}", 1
    while name.casefold() in taken:
        number += 1
        name = f"{stem}-{number}{suffix}"
    return name


def _safe_part(part: str) -> str:
    clean = _UNSAFE.sub("_", unicodedata.normalize("NFC", part)).strip(". ")[:_LONGEST_PART].rstrip(". ")
    return f"_{clean}" if _RESERVED.match(clean) else clean or "_"


def _is_wanted(info: zipfile.ZipInfo) -> bool:
    parts = PurePosixPath(info.filename).parts
    return not info.is_dir() and bool(parts) and not parts[-1].startswith(".") and "__MACOSX" not in parts


class _DirectoryBound(io.BytesIO):
    """A zip file whose directory is refused where it is too large: it alone is read in one piece that long."""

    def read(self, size: int | None = -1, /) -> bytes:
        if size is not None and size > _MAX_DIRECTORY:
            raise ArchiveTooLarge("archive", "too many files", f"a directory of at most {_MAX_DIRECTORY} bytes")
        return super().read(size)


class _Pipe(io.RawIOBase):
    """What was written and not yet taken."""

    def __init__(self) -> None:
        self._written = bytearray()

    def write(self, content: Any, /) -> int:
        self._written += content
        return len(content)

    def take(self) -> bytes:
        taken = bytes(self._written)
        self._written.clear()
        return taken
