"""The page of one machine: the report of the benchmark, in Markdown with charts.

All of its numbers come from the JSON file beside it.
"""

import json
import re
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter, ValidationError

from benchmarks.parts import PARTS, Part, Row, part
from concord.instruments.markdown import table

Report = Mapping[str, Any]


class UnreadableReport(Exception):
    """A file that is not a report of this benchmark; the text says why."""


def render(report: Report, name: str) -> str:
    """The page; the names of its charts begin with its `name`. Parts without readable numbers have no section."""
    sections = [
        heading(report["machine"], report.get("measured", {})),
        others(report),
        instead_of_concord(rows(report)),
    ]
    sections += [each.section(numbers) for each, numbers in measured(report)]
    return re.sub(r"\]\((\w+\.png)\)", rf"]({name}_\1)", "\n\n".join(filter(None, sections))) + "\n"


def rows(report: Report) -> list[Row]:
    """Concord compared with each thing that a user would run instead."""
    return [row for each, numbers in measured(report) if hasattr(each, "instead") for row in each.instead(numbers)]


def measured(report: Report) -> Iterator[tuple[Part, Any]]:
    """The parts in the report with their numbers; those that cannot be read are skipped and named on standard error."""
    for name in (name for name in PARTS if name in report):
        module = part(name)
        try:
            yield module, TypeAdapter(module.Numbers).validate_python(report[name])
        except ValidationError as error:
            first = error.errors()[0]
            place = ".".join(map(str, first["loc"]))
            print(f"report: {name} is left out, measure it again: {place}: {first['msg']}", file=sys.stderr)


def heading(machine: Mapping[str, Any], measured: Mapping[str, str]) -> str:
    versions = ", ".join(f"{name} {version}" for name, version in machine.get("versions", {}).items())
    when = f" Measured from {min(measured.values())} to {max(measured.values())} (UTC)." if measured else ""
    return (
        f"# What Concord costs: `{machine['kind']}`\n\n"
        f"{computer(machine)}; Python {machine['python']}, {versions}.{when}\n\n"
        "`make bench` writes this page from the numbers in the JSON file beside it."
    )


def others(report: Report) -> str:
    """Which parts were measured on other machines of the kind; empty without any."""
    found: dict[str, list[str]] = {}
    for name, machine in report.get("machines", {}).items():
        found.setdefault(computer(machine), []).append(name)
    return "\n".join(f"- Measured on {where}: {', '.join(names)}." for where, names in found.items())


def machine_of(report: Report, name: str) -> Mapping[str, Any]:
    """That a part of the report was measured on."""
    found: Mapping[str, Any] = report.get("machines", {}).get(name, report["machine"])
    return found


def computer(machine: Mapping[str, Any]) -> str:
    """A machine in words."""
    return f"{machine['processor']}, {machine['threads']} threads, {machine['memory_gib']:.0f} GiB"


def instead_of_concord(rows: Sequence[Row]) -> str:
    """The rows as a section; empty without any."""
    if not rows:
        return ""
    header = ["instead of Concord", "measure", "that", "Concord", "factor (above 1: Concord is faster, or smaller)"]
    cells = [[*row[:4], f"{row.factor:.2f}" + (f" ({row.interval})" if row.interval else "")] for row in rows]
    return (
        "## Concord and what a user would run instead\n\n"
        "The facade is compared with the other servers, because they speak HTTP, too; the rest is over gRPC. 95 % "
        "intervals are in parentheses. The other servers run ONNX Runtime. Concord runs the same files: in the forms "
        "that `concord serve` chooses, or where a precision is named in that one.\n\n" + table(header, cells)
    )


def write(report: Report, page: Path) -> None:
    """Writes the page, its charts and its JSON beside each other."""
    page.parent.mkdir(parents=True, exist_ok=True)
    page.with_suffix(".json").write_text(json.dumps(report, indent=1) + "\n")
    page.write_text(render(report, page.stem))
    for each, numbers in measured(report):
        if hasattr(each, "charts"):
            for name, figure in each.charts(numbers).items():
                figure.savefig(page.parent / f"{page.stem}_{name}", dpi=100)


def read(path: Path) -> Report:
    """The report of a run; raises UnreadableReport if it does not exist, or has other content."""
    try:
        report = json.loads(path.read_text())
    except (OSError, ValueError) as error:
        raise UnreadableReport(f"{path}: {error}") from error
    if not isinstance(report, dict) or "kind" not in report.get("machine", {}):
        raise UnreadableReport(f"{path}: not a report of `python -m benchmarks`, or one of an earlier version")
    return report
