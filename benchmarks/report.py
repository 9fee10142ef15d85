"""The report of the benchmark, in Markdown with charts: `python -m benchmarks.report REPORT.json PAGE.md`.

All of its numbers come from the JSON file beside the page.
"""

import argparse
import json
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


def render(report: Report) -> str:
    """The page. Parts without readable numbers have no section."""
    parts = list(measured(report))
    rows = [row for each, numbers in parts if hasattr(each, "instead") for row in each.instead(numbers)]
    sections = [heading(report["machine"], report.get("measured", {})), instead_of_concord(rows)]
    sections += [each.section(numbers) for each, numbers in parts]
    return "\n\n".join(filter(None, sections)) + "\n"


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
        "# What Concord costs\n\n"
        f"{machine['processor']}, {machine['threads']} threads, {machine['memory_gib']:.0f} GiB; Python "
        f"{machine['python']}, {versions}.{when}\n\n"
        "`make bench` writes this page from the numbers in the JSON file beside it."
    )


def instead_of_concord(rows: Sequence[Row]) -> str:
    """Concord compared with each thing that a user would run instead; empty if nothing was measured."""
    if not rows:
        return ""
    header = ["instead of Concord", "measure", "that", "Concord", "factor (above 1: Concord is faster)"]
    return (
        "## Concord and what a user would run instead\n\n"
        "The facade is compared with the other servers, because they speak HTTP, too; the rest is over gRPC. 95 % "
        "intervals are in parentheses. The other servers run ONNX Runtime. Concord runs ONNX Runtime, and OpenVINO for "
        "BF16, from the same files.\n\n" + table(header, rows)
    )


def write(report: Report, page: Path) -> None:
    """Writes the page, its charts and its JSON beside each other."""
    page.parent.mkdir(parents=True, exist_ok=True)
    page.with_suffix(".json").write_text(json.dumps(report, indent=1) + "\n")
    page.write_text(render(report))
    for each, numbers in measured(report):
        if hasattr(each, "charts"):
            for name, figure in each.charts(numbers).items():
                figure.savefig(page.parent / name, dpi=100)


def with_earlier(report: Report, earlier: Report, only: Sequence[str]) -> Report:
    """A report with what an earlier one has of other devices; with `only`, the earlier one with these parts of it."""
    whole = {**earlier, **{name: report[name] for name in only if name in report}} if only else dict(report)
    for name in (name for name in PARTS if hasattr(part(name), "BY_DEVICE") and name in earlier):
        whole[name] = {**earlier[name], **report.get(name, {})}
    return whole


def read(path: Path) -> Report:
    """The report of a run; raises UnreadableReport if it does not exist, or has other content."""
    try:
        report = json.loads(path.read_text())
    except (OSError, ValueError) as error:
        raise UnreadableReport(f"{path}: {error}") from error
    if not isinstance(report, dict) or "machine" not in report:
        raise UnreadableReport(f"{path}: not a report of `python -m benchmarks`")
    return report


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.report", description=__doc__)
    parser.add_argument("report", type=Path, help="JSON that `python -m benchmarks` wrote")
    parser.add_argument("page", type=Path, help="Markdown file to write; charts and the JSON go beside it")
    parser.add_argument(
        "--only", nargs="+", choices=PARTS, default=[], metavar="PART", help="put these on the page; the others stay"
    )
    args = parser.parse_args(arguments)
    earlier = args.page.with_suffix(".json")
    try:
        write(with_earlier(read(args.report), read(earlier) if earlier.exists() else {}, args.only), args.page)
    except UnreadableReport as error:
        print(f"report: {error}", file=sys.stderr)
        return 1
    print(f"written to {args.page}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
