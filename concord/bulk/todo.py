"""What a run has left to do."""

from dataclasses import dataclass
from typing import Any

from concord.bulk.table import Part


@dataclass(frozen=True)
class Todo:
    """Rows of a folder, or parts of a table with the names in them that are left out.

    Attributes:
        rows: as `concord.bulk.table.SCHEMA` has them.
        count: rows, of both.
    """

    rows: list[dict[str, Any]]
    parts: list[tuple[Part, list[str]]]
    count: int
