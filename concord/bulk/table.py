"""The rows of Parquet files: images and masks as bytes or as paths, texts, and names."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from concord.bulk.order import COLUMNS, Order
from concord.bulk.place import Place
from concord_client.commands import UsageError
from concord_client.errors import InvalidInput

SUFFIX = ".parquet"
SCHEMA = pa.schema(
    {
        **{name: pa.string() for name in ("id", "text")},
        **{f"{name}_{kind.lower()}": each for name in ("image", "mask") for kind, each in
           (("bytes", pa.binary()), ("path", pa.string()))},
    }
)  # fmt: skip
"""Of the rows that are handed to workers; a path is one of the source's file system."""
_BATCH = 8
"""Rows that are read at a time: a row may be an image of many megabytes."""


@dataclass(frozen=True)
class Part:
    """A group of rows: its file, its number there, the number of its first row in the file, and how many they are."""

    name: str
    number: int
    first: int
    rows: int


class Table:
    """Parquet files at a place.

    Raises:
        InvalidInput: one of them cannot be read, or lacks a column.
        UsageError: there are columns for inputs of which the task takes one.
    """

    def __init__(self, order: Order, place: Place, names: Sequence[str]) -> None:
        self.place = place
        self.names = names
        self._columns = _columns(order, place, names)
        self._text = order.text

    @property
    def given(self) -> set[str]:
        """What its rows have, by the fields of the request."""
        return {*self._columns.keys() - {"id"}, *(["text"] if self._text is not None else [])}

    def parts(self) -> Iterator[Part]:
        """The groups of rows of the files, in order."""
        for name in self.names:
            first = 0
            with self.place.asked("INPUT"), pq.ParquetFile(self.place.at(name), filesystem=self.place.system) as file:
                for number in range(file.num_row_groups):
                    rows = file.metadata.row_group(number).num_rows
                    yield Part(name, number, first, rows)
                    first += rows

    def ids(self, part: Part) -> list[str]:
        """The names of a part's rows; nothing else is read."""
        if "id" not in self._columns:
            stem = str(PurePosixPath(part.name or PurePosixPath(self.place.path).name).with_suffix(""))
            return [f"{stem}/{part.first + each:08d}" for each in range(part.rows)]
        with self.place.asked("INPUT"), pq.ParquetFile(self.place.at(part.name), filesystem=self.place.system) as file:
            read = file.read_row_group(part.number, columns=[self._columns["id"]])
        return [str(each) for each in read.column(0).to_pylist()]

    def rows(self, part: Part, left_out: Collection[str]) -> Iterator[pa.Table]:
        """A part's rows as `SCHEMA` has them, a few at a time, without those that are left out; raises OSError."""
        ids = iter(self.ids(part))
        columns = {each: column for each, column in self._columns.items() if each != "id"}
        with pq.ParquetFile(self.place.at(part.name), filesystem=self.place.system) as file:
            for batch in file.iter_batches(
                _BATCH, row_groups=[part.number], columns=list(columns.values()), use_threads=False
            ):
                values = {each: batch.column(column).to_pylist() for each, column in columns.items()}
                read = [dict(zip(values, row, strict=True)) for row in zip(*values.values(), strict=True)]
                named = [(next(ids), row) for row in read]
                if kept := [self._row(part.name, name, row) for name, row in named if name not in left_out]:
                    yield pa.Table.from_pylist(kept, SCHEMA)

    def _row(self, file: str, name: str, values: Mapping[str, Any]) -> dict[str, Any]:
        row: dict[str, Any] = {"id": name, "text": values.get("text", self._text)}
        for each in ("image", "mask"):
            value = values.get(each)
            if isinstance(value, dict):  # as Hugging Face's datasets have images
                value = value.get("bytes") or value.get("path")
            if isinstance(value, bytes):
                row[f"{each}_bytes"] = value
            elif value is not None:
                beside = Place(self.place.url, self.place.system, self.place.at(file))
                row[f"{each}_path"] = beside.sibling(str(value))
        return row


def _columns(order: Order, place: Place, names: Sequence[str]) -> dict[str, str]:
    """The columns to be read, by what is in them."""
    known = _common(place, names)
    taken = {each.name for each in order.request.fields()} | {"id"}
    for what, column in order.columns.items():
        if what not in taken:
            raise UsageError(f"--{what}-column: {order.task} takes no {what}")
        if column not in known:
            raise _missing(what, column, known)
    names_of = {what: order.columns.get(what, what) for what in COLUMNS if what in taken}
    found = {what: name for what, name in names_of.items() if name in known}
    if order.text is not None:
        found.pop("text", None)
    if "image" not in found:
        raise _missing("image", names_of["image"], known)
    for group in order.request.ONE_OF:
        there = [each for each in group if each in found or (each == "text" and order.text is not None)]
        named = [each for each in there if each in order.columns or each not in found]
        if len(there) > 1 and len(named) != 1:
            flags = " or ".join(f"--{each}-column" for each in there)
            raise UsageError(f"the table has {' and '.join(there)}, and {order.task} takes one of them: give {flags}")
        for each in set(there) - set(named or there):
            del found[each]
    return found


def _common(place: Place, names: Sequence[str]) -> set[str]:
    """The names of columns that all files have."""
    common: set[str] | None = None
    for name in names:
        with place.asked("INPUT"):
            try:
                schema = pq.read_schema(place.at(name), filesystem=place.system)
            except pa.ArrowInvalid as error:
                shown = name or place.url
                raise InvalidInput("invalid_table", "INPUT", f"{shown!r} is no Parquet: {error}"[:300]) from None
        common = set(schema.names) if common is None else common & set(schema.names)
    return common or set()


def _missing(what: str, column: str, known: set[str]) -> InvalidInput:
    problem = f"there is no column {column!r} for {what}"
    return InvalidInput("missing_column", "INPUT", problem, ", ".join(sorted(known)) or "none: the files differ")
