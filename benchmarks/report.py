"""Puts the report of a run on the pages: `python -m benchmarks.report REPORT.json PAGE.md`.

Each kind of processor has a page of its own, from one run, in the folder that is named after PAGE.md. From all of them
come PAGE.md and the block of the README in the folder above.
"""

import argparse
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from benchmarks import page
from benchmarks.page import Report, UnreadableReport
from benchmarks.parts import PARTS, part
from benchmarks.parts.peers import FASTAPI, LITSERVE
from concord.instruments.markdown import filled, table
from concord.processor import KINDS

README, BLOCK = "README.md", "ratios"
SEEN = ("requests/s", "memory, MiB")
"""The measures that the README shows."""

Factors = dict[tuple[str, str], dict[str, float]]
"""How many times as fast, or as small, Concord is: by what is run instead and measure, by kind of processor."""


def overview(reports: Mapping[str, Report], folder: str) -> str:
    """The page of all kinds of processors, whose own are in a folder."""
    machines = [
        [
            f"[`{kind}`]({folder}/{kind}.md)",
            page.computer(report["machine"]),
            min(report.get("measured", {}).values(), default="")[:10],
        ]
        for kind, report in reports.items()
    ]
    found = factors(reports)
    columns = [kind for kind in reports if any(kind in by_kind for by_kind in found.values())]
    rows = [
        [*what, *(written(by_kind.get(kind)) for kind in columns), written(min(by_kind.values()))]
        for what, by_kind in found.items()
    ]
    header = ["instead of Concord", "measure", *(f"`{kind}`" for kind in columns), "the least"]
    return (
        "# What Concord costs\n\n"
        "Every kind of processor ([their names](engines.md#what-auto-knows)) has a page with all that one run measured "
        "there. `make bench` writes that of your machine, and this one.\n\n"
        f"{table(['kind', 'machine', 'measured'], machines)}\n\n"
        "## Concord and what a user would run instead\n\n"
        "How many times as fast, or as small, Concord is; below 1 the other one is. Concord runs in the forms that "
        "`concord serve` chooses, or where a precision is named in that one. The least held on every kind measured.\n\n"
        f"{table(header, rows)}\n"
    )


def ratios(reports: Mapping[str, Report]) -> str:
    """The README's block: the other servers, by measure the least of all kinds."""
    found = factors(reports)
    measures = dict.fromkeys(measure for _, measure in found if measure.endswith(SEEN))
    rows = []
    for measure in measures:
        servers = [found.get((server, measure), {}) for server in (LITSERVE, FASTAPI)]
        kinds = ", ".join(f"`{kind}`" for kind in servers[0])
        rows.append([measure, *(written(min(each.values(), default=None)) for each in servers), kinds])
    return table(["measure", LITSERVE, FASTAPI, "measured on"], rows)


def factors(reports: Mapping[str, Report]) -> Factors:
    found: Factors = {}
    for kind, report in reports.items():
        for row in page.rows(report):
            found.setdefault((row.instead, row.measure), {})[kind] = row.factor
    return found


def written(factor: float | None) -> str:
    return "" if factor is None else f"{factor:.2f}"


def measured(overview_page: Path) -> dict[str, Report]:
    """The reports by kind of processor, the fastest kind first; raises UnreadableReport."""
    found = {path.stem: page.read(path) for path in sorted(overview_page.with_suffix("").glob("*.json"))}
    order = list(KINDS)
    return dict(sorted(found.items(), key=lambda item: order.index(item[0]) if item[0] in order else len(order)))


def write_overview(overview_page: Path) -> None:
    """The page, and the block of the README, from the reports that are there."""
    reports = measured(overview_page)
    overview_page.write_text(overview(reports, overview_page.stem))
    readme = overview_page.absolute().parents[1] / README
    if readme.is_file():
        readme.write_text(filled(readme.read_text(), {BLOCK: ratios(reports)}))


def with_earlier(report: Report, earlier: Report, only: Sequence[str]) -> Report:
    """A report with what an earlier one has of other devices; with `only`, the earlier one with these parts of it."""
    whole = dict(report)
    if only:
        taken = {name: report[name] for name in only if name in report}
        when = {name: time for name, time in report.get("measured", {}).items() if name in taken}
        whole = {"machine": report["machine"], **earlier, **taken}
        whole["measured"] = {**earlier.get("measured", {}), **when}
        # Those of several devices say themselves what each was measured on.
        there = {name: report["machine"] for name in taken if not hasattr(part(name), "BY_DEVICE")}
        machines = {**earlier.get("machines", {}), **there}
        whole["machines"] = {name: each for name, each in machines.items() if each != whole["machine"]}
    for name in (name for name in PARTS if hasattr(part(name), "BY_DEVICE") and name in earlier):
        whole[name] = {**earlier[name], **report.get(name, {})}
    return whole


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.report", description=__doc__)
    parser.add_argument("report", type=Path, help="JSON that `python -m benchmarks` wrote")
    parser.add_argument("page", type=Path, help="Markdown file to write; pages of single kinds go into its folder")
    parser.add_argument(
        "--only", nargs="+", choices=PARTS, default=[], metavar="PART", help="put these on the page; the others stay"
    )
    args = parser.parse_args(arguments)
    try:
        report = page.read(args.report)
        own = args.page.with_suffix("") / f"{report['machine']['kind']}.md"
        beside = own.with_suffix(".json")
        page.write(with_earlier(report, page.read(beside) if beside.exists() else {}, args.only), own)
        write_overview(args.page)
    except UnreadableReport as error:
        print(f"report: {error}", file=sys.stderr)
        return 1
    print(f"written to {own} and {args.page}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
