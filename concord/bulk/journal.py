"""What became of each row, written down before its picture: lines of JSON, and the table that is made of them.

A row is done when its picture is there. A line says what the table says of it; where a row has several, the last one
counts. Lines whose row has no picture yet are of a run that was killed between the two, and say nothing.
"""

import fcntl
import json
import os
import secrets
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from io import BytesIO
from pathlib import Path, PurePosixPath
from typing import Any, Literal, TypeAlias

import pyarrow as pa
import pyarrow.parquet as pq

from concord.bulk.order import Order
from concord.bulk.place import Place
from concord_client.errors import InvalidInput
from concord_client.tasks.fields import Kind

FOLDER = ".concord-bulk"
TABLE = "results.parquet"
Status: TypeAlias = Literal["done", "refused", "failed"]
"""Of a row: refused is one that would be again, failed one that may be answered another time."""
Line: TypeAlias = dict[str, Any]
"""By `schema`."""
LOCK_SECONDS = 60.0
"""How long the processes of a run that was killed may take to end."""
_LOCK = f"{FOLDER}/lock"
_POLL_SECONDS = 0.1
_TYPES: Mapping[Kind, pa.DataType] = {
    "text": pa.string(),
    "boolean": pa.bool_(),
    "integer": pa.int64(),
    "number": pa.float64(),
    "numbers": pa.list_(pa.float64()),
}


def schema(order: Order) -> pa.Schema:
    """The table's columns: what every task has, and what the answers of this one say."""
    common = {
        **dict.fromkeys(("id", "status", "output"), pa.string()),
        "seconds": pa.float64(),
        **dict.fromkeys(("code", "error", "node"), pa.string()),
    }
    return pa.schema(common | {each.name: _TYPES[each.kind] for each in order.said})


class Journal:
    """Where one worker writes its lines; several write at a time, each its own."""

    def __init__(self, target: Place) -> None:
        self._target = target
        self._name = f"{FOLDER}/{secrets.token_hex(8)}"
        self._written = 0

    def write(self, lines: Iterable[Line]) -> None:
        """Returns when they are on disk; raises OSError. To be called by one thread at a time."""
        content = b"".join(json.dumps(line).encode() + b"\n" for line in lines)
        if not self._target.local:
            self._written += 1
            self._target.write(f"{self._name}-{self._written}.jsonl", content)
            return
        path = Path(self._target.at(f"{self._name}.jsonl"))
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("ab") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())


class Records:
    """The table and the journals of an output, as one. Of each row there is what was said last."""

    def __init__(self, target: Place, order: Order) -> None:
        self._target = target
        self._schema = schema(order)
        names = self._files()
        self._journals = [name for name in names if name.startswith(f"{FOLDER}/") and name.endswith(".jsonl")]
        # Of a worker that was killed while it wrote; see `concord_client.atomic_file`.
        self._partial = [name for name in names if PurePosixPath(name).match(".concord-*.part")]
        self.pictures = frozenset({name for name in names if not name.startswith(FOLDER)}.difference(self._partial))

    def lines(self) -> dict[str, Line]:
        """By name; those without a picture that is there are left out, unless they are of no picture.

        Raises:
            InvalidInput: the output has a table of another task.
        """
        found: dict[str, Line] = {}
        if TABLE in self.pictures:
            table = pq.read_table(BytesIO(self._target.read(TABLE)))
            if not table.schema.equals(self._schema):
                allowed = "an empty folder, or one of the same task"
                raise InvalidInput("invalid_output", "OUTPUT", f"its {TABLE} is of another task", allowed)
            found = {line["id"]: line for line in table.to_pylist()}
        for name in self._journals:
            for line in self._target.read(name).splitlines():
                try:
                    read = json.loads(line)
                except ValueError:  # the last one of a worker that was killed
                    continue
                found[read["id"]] = read
        return {key: line for key, line in found.items() if line["status"] != "done" or line["output"] in self.pictures}

    def compact(self) -> dict[str, Line]:
        """Writes the table of all lines, and returns them; then removes the journals and what killed workers left."""
        lines = self.lines()
        content = BytesIO()
        rows = [lines[key] for key in sorted(lines)]
        pq.write_table(pa.Table.from_pylist(rows, self._schema), content)
        self._target.write(TABLE, content.getvalue())
        for name in (*self._journals, *self._partial):
            self._target.remove(name)
        return lines

    def _files(self) -> list[str]:
        self._target.system.invalidate_cache()
        return self._target.names() if self._target.system.exists(self._target.path) else []


@contextmanager
def holding(target: Place, *, alone: bool, patience: float = 0.0) -> Iterator[None]:
    """Keeps other runs from an output on disks; one on a store of objects is not kept.

    Args:
        alone: waits until no process of another run is left, and then lets workers in.
        patience: seconds to wait.

    Raises:
        InvalidInput: another run writes there.
    """
    if not target.local:
        yield
        return
    path = Path(target.at(_LOCK))
    path.parent.mkdir(parents=True, exist_ok=True)
    end = time.monotonic() + patience
    with path.open("wb") as file:
        while True:
            try:
                fcntl.flock(file, (fcntl.LOCK_EX if alone else fcntl.LOCK_SH) | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if time.monotonic() >= end:
                    raise InvalidInput("in_use", "OUTPUT", f"another run writes to {target.url!r}") from None
                time.sleep(_POLL_SECONDS)
        if alone:
            fcntl.flock(file, fcntl.LOCK_SH)
        yield
