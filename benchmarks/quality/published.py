"""The published tables, as `published.json` has them: the one place where their numbers stand."""

import json
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

FILE = Path(__file__).with_name("published.json")
ALL = "all"
"""The row of all sub-sets together."""


@dataclass(frozen=True)
class Column:
    """A method's published scores.

    Attributes:
        method: its published name.
        served: the model that it is here; empty where Concord has none.
        rows: by sub-set, and `ALL`: a score for each of the table's measures, None where none is published.
    """

    method: str
    served: str
    rows: Mapping[str, tuple[float | None, ...]]

    def cell(self, row: str) -> str:
        """The scores of a row with " / " between them; empty where nothing is published."""
        return " / ".join("–" if score is None else f"{score:.2f}" for score in self.rows.get(row, ()))


@dataclass(frozen=True)
class Published:
    """A published table: its measures, its columns, and where it is from."""

    source: str
    measures: tuple[str, ...]
    columns: tuple[Column, ...]

    def of_models(self, models: Collection[str]) -> dict[str, Column]:
        """The columns of what is served here, by model; what is no model is found by its method."""
        return {key: each for each in self.columns if (key := each.served or each.method) in models}


@cache
def published(table: str) -> Published:
    """A table by its name in the file."""
    told = json.loads(FILE.read_text(encoding="utf-8"))
    return Published(
        told["source"],
        tuple(told["tables"][table]["measures"]),
        tuple(map(_column, told["tables"][table]["columns"])),
    )


def _column(told: Mapping[str, Any]) -> Column:
    return Column(told["method"], told.get("served", ""), {row: tuple(each) for row, each in told["rows"].items()})
