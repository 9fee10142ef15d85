"""Markdown tables of reports, and pages that hold generated blocks."""

import math
from collections.abc import Iterable, Mapping, Sequence
from types import MappingProxyType

Columns = Mapping[str, Mapping[str, object]]
"""Further columns of a table: by their headers the cells of rows, by name; the others are empty."""
NONE: Columns = MappingProxyType({})


def filled(page: str, blocks: Mapping[str, str]) -> str:
    """A page with the text of its blocks replaced, each between ``<!-- NAME: begin -->`` and ``<!-- NAME: end -->``.

    Raises:
        ValueError: a block is not on the page.
    """
    for name, text in blocks.items():
        before, begin, rest = page.partition(f"<!-- {name}: begin -->\n")
        _, end, after = rest.partition(f"<!-- {name}: end -->")
        if not end:
            raise ValueError(f"there is no block {name}")
        page = f"{before}{begin}{text}\n{end}{after}"
    return page


def table(header: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """A table. Numbers have three significant digits and are aligned right."""
    cells = [[significant(cell) if isinstance(cell, float) else str(cell) for cell in row] for row in rows]
    right = [bool(cells) and all(_is_number(row[column]) for row in cells) for column in range(len(header))]
    rule = ["--:" if each else "---" for each in right]
    return "\n".join("| " + " | ".join(line) + " |" for line in (list(header), rule, *cells))


def times(milliseconds: Mapping[str, Mapping[str, float]], columns: Columns = NONE) -> str:
    """A table of percentiles, a row for each thing that was measured."""
    header = next(iter(milliseconds.values()))
    rows = [[name, *map(float, row.values()), *cells(columns, name)] for name, row in milliseconds.items()]
    return table(["ms", *header, *columns], rows)


def cells(columns: Columns, row: str) -> list[object]:
    """A row's cells of further columns."""
    return [column.get(row, "") for column in columns.values()]


def stages(
    milliseconds: Mapping[str, float], calls: Mapping[str, int] = MappingProxyType({}), columns: Columns = NONE
) -> str:
    """A table of the time of each model of a pipeline, the longest first.

    Args:
        milliseconds: of one call.
        calls: per request, where it is more than one.
        columns: by header and model.
    """
    spent = {name: each * calls.get(name, 1) for name, each in milliseconds.items()}
    total = sum(spent.values())
    rows = [
        [
            f"`{name}`",
            *([calls.get(name, 1)] if calls else []),
            float(milliseconds[name]),
            percent(whole / total),
            *cells(columns, name),
        ]
        for name, whole in sorted(spent.items(), key=lambda item: -item[1])
    ]
    return table(["model", *(["calls"] if calls else []), "ms a call" if calls else "ms", "share", *columns], rows)


def significant(value: float) -> str:
    """A number with three significant digits and no exponent."""
    if not value or not math.isfinite(value):
        return f"{value:g}"
    return f"{value:.{max(2 - math.floor(math.log10(abs(value))), 0)}f}"


def percent(share: float) -> str:
    return f"{100 * share:.0f} %"


def gigabytes(mib: float) -> str:
    return f"{mib * (1 << 20) / 1e9:.2f} GB"


def _is_number(cell: str) -> bool:
    return cell == "" or cell[0].isdigit() or (cell[0] == "-" and cell[1:2].isdigit())
