"""A run: what is left to do is done by the nodes, and the table is made of what they wrote down."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from concord.bulk.cluster import connected
from concord.bulk.folder import NO_MASK, NO_TEXT, Folder, images_in
from concord.bulk.ids import picture_of, require_distinct
from concord.bulk.journal import LOCK_SECONDS, Journal, Line, Records, holding
from concord.bulk.order import Order
from concord.bulk.place import NOT_FOUND, Place
from concord.bulk.table import SUFFIX, Part, Table
from concord.bulk.todo import Todo
from concord_client.commands import UsageError, one_line
from concord_client.errors import InvalidInput


@dataclass
class Summary:
    """What became of a run.

    Attributes:
        total: rows of the input.
        skipped: those of them that were done or refused before.
        done: of all, those with a picture.
        errors: why the others have none, by name.
        window: requests that a node had under way at last; 0 where nothing was left to do.
    """

    total: int = 0
    skipped: int = 0
    done: int = 0
    errors: dict[str, str] = field(default_factory=dict)
    window: int = 0

    @property
    def words(self) -> str:
        """In one line."""
        skipped = f", {self.skipped} were there already" if self.skipped else ""
        window = f"; {self.window} at a time on a node" if self.window else ""
        return f"{self.done} of {self.total} rows done{skipped}{window}"


def run(order: Order, address: str | None = None) -> Summary:
    """Does what is not done yet.

    Args:
        order: what is asked for.
        address: of a Ray cluster; None for one of this machine, for as long as the run takes.

    Raises:
        UsageError: what is asked for does not go together, or the model does not have it.
        InvalidInput: the input or the output cannot be used as they are; nothing was asked for.
        ConcordClientError: the server cannot answer.
        OSError: the output cannot be written any more.
    """
    order.request  # noqa: B018 - raises for a wrong task
    source, target = Place.of(order.source), Place.of(order.target)
    if target.inside(source):
        problem = f"{order.target!r} is in the input {order.source!r}"
        raise InvalidInput("invalid_output", "OUTPUT", problem, "a folder outside of it")
    rows = _rows(order, source)
    _require_given(order, rows.given)
    target.require_writable()
    with holding(target, alone=True, patience=LOCK_SECONDS):
        records = Records(target, order)
        lines = records.lines()
        summary = Summary()
        todo = _todo(order, rows, lines, records.pictures, Journal(target), summary)
        if todo.count:
            with connected(address):
                # Not before: Ray reads its environment when it is imported.
                from concord.bulk.pipeline import work

                summary.window = work(order, rows, todo)
        told = Records(target, order).compact().values()
    summary.done = sum(line["status"] == "done" for line in told)
    summary.errors = {line["id"]: line["error"] for line in told if line["status"] != "done"}
    return summary


def _rows(order: Order, source: Place) -> Folder | Table:
    names = source.names()
    tables = [name for name in names if name.endswith(SUFFIX)]
    if not names and source.path.endswith(SUFFIX):
        tables = [""]
    if tables and images_in(names):
        raise InvalidInput("invalid_input", "INPUT", "there are images and Parquet files in it", "the one or the other")
    if tables:
        if order.masks or order.expressions:
            raise UsageError("--masks and --expressions go with a folder of images; a table has columns")
        return Table(order, source, tables)
    if not images_in(names):
        raise InvalidInput(NOT_FOUND, "INPUT", f"there is no image in {order.source!r}", "images, or Parquet files")
    if order.columns:
        raise UsageError(
            f"--{next(iter(order.columns))}-column goes with a table; {order.source} is a folder of images"
        )
    return Folder(order, source, images_in(names))


def _require_given(order: Order, given: set[str]) -> None:
    """Makes sure that the rows have what the task takes.

    Raises:
        UsageError: says what is missing.
    """
    fields = {each.name: each for each in order.request.fields()}
    for name in given - fields.keys():
        raise UsageError(f"{order.task} takes no {name}")
    for names in order.request.ONE_OF:
        if len(given & set(names)) != 1:
            raise UsageError(
                f"{order.task} needs either {' or '.join(names)}: --masks, --text or --expressions, or a column"
            )
    for name in (each.name for each in fields.values() if each.required and each.name not in given):
        raise UsageError(f"{order.task} needs {name}: --masks, --text or --expressions, or a column")


def _todo(
    order: Order,
    rows: Folder | Table,
    lines: Mapping[str, Line],
    pictures: frozenset[str],
    journal: Journal,
    summary: Summary,
) -> Todo:
    """What is left to do; rows that cannot be asked for are written down."""
    walked = isinstance(rows, Folder)
    known: list[Line] = []

    def over(name: str) -> bool:
        line = lines.get(name)
        if line is not None and line["status"] == "refused" and line["code"] not in (NO_MASK, NO_TEXT):
            return not order.again
        output = picture_of(name, walked)
        if output not in pictures:
            return False
        if line is None:
            # Something else than a run wrote it; nothing more is known of it.
            known.append(Line(id=name, status="done", output=output))
        return True

    wanted, parts, ids, left = list[dict[str, Any]](), list[tuple[Part, list[str]]](), list[str](), 0
    if isinstance(rows, Table):
        for part in rows.parts():
            names = rows.ids(part)
            ids += names
            finished = [name for name in names if over(name)]
            if len(finished) < len(names):
                parts.append((part, finished))
            left += len(names) - len(finished)
    else:
        for name in rows.names:
            ids.append(name)
            if over(name):
                continue
            try:
                wanted.append(rows.row(name))
            except InvalidInput as error:
                known.append(Line(id=name, status="refused", code=error.code, error=one_line(error)))
        left = len(wanted)
    require_distinct(ids, walked)
    if known:
        journal.write(known)
    summary.total, summary.skipped = len(ids), len(ids) - left - sum(line["status"] == "refused" for line in known)
    return Todo(wanted, parts, left)
