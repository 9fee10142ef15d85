"""Folders on this machine and elsewhere, by URL: what is in them, and files that are there in full or not at all."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any, Self

import fsspec
from fsspec.implementations.arrow import ArrowFSWrapper
from fsspec.implementations.local import LocalFileSystem
from pyarrow.fs import S3FileSystem

from concord_client.atomic_file import write_atomically
from concord_client.commands import one_line
from concord_client.errors import InvalidInput

NO_ACCESS, NOT_FOUND = "no_access", "not_found"
_S3 = ("s3", "s3a")
_PROBE = ".concord-probe"


@dataclass(frozen=True)
class Place:
    """A folder, or a file, of a file system.

    Attributes:
        url: as it was given.
        system: of `fsspec`.
        path: in that system, without its protocol and without a slash at the end.
    """

    url: str
    system: Any
    path: str

    @classmethod
    def of(cls, url: str) -> Self:
        """The place of a URL that fsspec knows, or a path; S3's keys are the environment's.

        Raises:
            InvalidInput: nothing here speaks the URL's protocol.
        """
        protocol, separator, rest = url.partition("://")
        if separator and protocol in _S3:
            return cls(url, ArrowFSWrapper(s3()), rest.rstrip("/"))
        try:
            system, path = fsspec.core.url_to_fs(url)
        except (ValueError, ImportError) as error:
            raise InvalidInput(
                "invalid_url", "request", f"{url!r} cannot be opened: {one_line(error)}", "a path, s3://, or fsspec's"
            ) from None
        return cls(url, system, path.rstrip("/") or "/")

    @property
    def local(self) -> bool:
        """Whether it is in the machine's own file system."""
        return isinstance(self.system, LocalFileSystem)

    def at(self, name: str) -> str:
        """The path of what has this name below it."""
        return f"{self.path}/{name}" if name else self.path

    def sibling(self, name: str) -> str:
        """The path of what has this name beside it, absolute paths and URLs of the same system as they are."""
        stripped: str = self.system._strip_protocol(name) if "://" in name else name
        absolute = "://" in name or stripped.startswith("/")
        return stripped if absolute else f"{self.path.rpartition('/')[0]}/{stripped}"

    def names(self) -> list[str]:
        """The files below it at any depth, by their names from here, in order; of a file that it is, none.

        Raises:
            InvalidInput: there is nothing, or nobody may look.
        """
        with self.asked("INPUT"):
            if not self.system.exists(self.path):
                raise FileNotFoundError(self.path)
            found = self.system.find(self.path)
        return sorted(str(PurePosixPath(each).relative_to(self.path)) for each in found if each != self.path)

    def has(self, name: str) -> bool:
        """Whether a file of this name is there; nothing that was known of it before counts."""
        self.system.invalidate_cache()
        return bool(self.system.exists(self.at(name)))

    def read(self, name: str = "") -> bytes:
        """What is in a file; raises OSError."""
        content: bytes = self.system.cat_file(self.at(name))
        return content

    def write(self, name: str, content: bytes) -> None:
        """Writes a file and the folders above it; it is there in full or not at all. Raises OSError."""
        path = self.at(name)
        if self.local:
            Path(path).parent.mkdir(parents=True, exist_ok=True)
            write_atomically(Path(path), content)
        else:
            # A store of objects shows an object when all of it has come.
            self.system.pipe_file(path, content)

    def remove(self, name: str) -> None:
        """Removes a file; raises OSError."""
        self.system.rm_file(self.at(name))

    def require_writable(self) -> None:
        """Makes sure that something can be written there, and leaves nothing.

        Raises:
            InvalidInput: it cannot.
        """
        with self.asked("OUTPUT"):
            if self.local:
                above = next(each for each in (Path(self.path), *Path(self.path).parents) if each.exists())
                if not above.is_dir() or not os.access(above, os.W_OK):
                    raise PermissionError
                return
            self.system.pipe_file(self.at(_PROBE), b"")
            self.system.rm_file(self.at(_PROBE))

    def inside(self, other: "Place") -> bool:
        """Whether it is the other place, or below it."""
        if type(self.system) is not type(other.system):
            return False
        mine, theirs = (os.path.realpath(each.path) if each.local else each.path for each in (self, other))
        return PurePosixPath(mine).is_relative_to(theirs)

    @contextmanager
    def asked(self, field: str) -> Iterator[None]:
        """Names the place where the block finds that it is not to be had."""
        try:
            yield
        except OSError as error:
            # fsspec takes it from Arrow's words that something is not there, also where it is a key that is not.
            if isinstance(error, FileNotFoundError) and error.__cause__ is None:
                raise InvalidInput(NOT_FOUND, field, f"there is nothing at {self.url!r}") from None
            problem = f"{self.url!r} cannot be reached with what the environment gives: {one_line(error)[:300]}"
            allowed = "a place that may be " + ("written to" if field == "OUTPUT" else "read")
            raise InvalidInput(NO_ACCESS, field, problem, allowed) from None


def s3(**options: Any) -> S3FileSystem:
    """S3 with the keys, the region and the endpoint of the environment; Arrow's, so that nothing more is installed."""
    named = {
        "endpoint_override": ("AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL"),
        "region": ("AWS_REGION", "AWS_DEFAULT_REGION"),
    }
    for option, variables in named.items():
        if value := next(filter(None, map(os.environ.get, variables)), None):
            options[option] = value
    return S3FileSystem(**options)
