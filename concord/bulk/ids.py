"""The stable name of a row, and the picture that it is written to."""

import unicodedata
from collections.abc import Iterable
from pathlib import PurePosixPath

from concord.bulk.order import PICTURES
from concord_client.commands.plan import folded
from concord_client.errors import InvalidInput

LONGEST = 1024
"""Bytes of a name: what a store of objects takes."""


def require_id(name: str) -> str:
    """The name.

    Raises:
        InvalidInput: its picture would be elsewhere than below the output, or it can be no file's.
    """
    parts = name.split("/")
    odd = any(part in ("", ".", "..") or part.startswith(".concord") or len(part.encode()) > 250 for part in parts)
    unprintable = any(unicodedata.category(each) in ("Cc", "Cs") for each in name)
    if odd or unprintable or "\\" in name or len(name.encode("utf-8", "replace")) > LONGEST:
        allowed = f"a relative path of at most {LONGEST} bytes, without '..' or control characters"
        raise InvalidInput("invalid_id", "id", f"is {name[:60]!r}", allowed)
    return name


def picture_of(name: str, walked: bool) -> str:
    """Where the picture of a row goes, below the output; the name of a walked image loses its suffix."""
    path = PurePosixPath(name)
    return f"{PICTURES}/{path.with_suffix('.png') if walked else path.parent / f'{path.name}.png'}"


def require_distinct(names: Iterable[str], walked: bool) -> None:
    """Makes sure that no two rows have one picture, also where case and composition of letters are the same.

    Raises:
        InvalidInput: names the two.
    """
    taken: dict[str, str] = {}
    for name in names:
        key = folded(picture_of(name, walked))
        if key in taken:
            raise InvalidInput(
                "duplicate_id", "id", f"{name!r} and {taken[key]!r} would be one picture", "distinct ones"
            )
        taken[key] = name
