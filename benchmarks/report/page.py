"""The report of the benchmark, in Markdown with charts: `python -m benchmarks.report REPORT.json PAGE.md`.

All of its numbers come from the JSON file beside the page.
"""

import argparse
import json
import sys
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

from benchmarks.parts import engines, runtime_options
from benchmarks.peers import table as peers
from benchmarks.report import growth, tables
from concord.gates import gate as gates

Part = Mapping[str, Any]
Report = Mapping[str, Part]
SECTIONS: dict[str, Callable[[Part], str]] = {
    "peers": peers.section,
    "demo": tables.demo,
    "published": tables.published,
    "diffusion_demo": tables.diffusion_demo,
    "diffusion_published": tables.diffusion_published,
    "engines": engines.text_guided_section,
    "engines_diffusion": engines.diffusion_section,
    "runtime_options": runtime_options.section,
    "gates": gates.section,
    "large_photograph": tables.large_photograph,
    **{name: partial(growth.section, name) for name in growth.TITLES},
    "facade": tables.facade,
}
"""A section of each part that was measured, in this order."""


class UnreadableReport(Exception):
    """A file that is not a report of this benchmark; the text says why."""


def render(report: Report) -> str:
    """The page. Parts that were not measured have no section, except the GPU, whose section says so."""
    sections = [heading(report["machine"], report.get("measured", {})), peers.instead(report)]
    sections += [section(report[name]) for name, section in SECTIONS.items() if name in report]
    sections.append(tables.gpu(report.get("gpu", {})))
    return "\n\n".join(filter(None, sections)) + "\n"


def heading(machine: Part, measured: Mapping[str, str]) -> str:
    versions = ", ".join(f"{name} {version}" for name, version in machine.get("versions", {}).items())
    when = f" Measured from {min(measured.values())} to {max(measured.values())} (UTC)." if measured else ""
    return (
        "# What Concord costs\n\n"
        f"{machine['processor']}, {machine['threads']} threads, {machine['memory_gib']:.0f} GiB; Python "
        f"{machine['python']}, {versions}.{when}\n\n"
        "`make bench` writes this page from the numbers in the JSON file beside it."
    )


def write(report: Report, page: Path) -> None:
    """Writes the page, its charts and its JSON beside each other."""
    from benchmarks.report import charts  # matplotlib takes seconds to import

    page.parent.mkdir(parents=True, exist_ok=True)
    page.with_suffix(".json").write_text(json.dumps(report, indent=1) + "\n")
    page.write_text(render(report))
    charts.draw(report, page.parent)


def read(path: Path) -> Report:
    """The report of a run.

    Raises:
        UnreadableReport: it does not exist, or has other content.
    """
    try:
        report = json.loads(path.read_text())
    except (OSError, ValueError) as error:
        raise UnreadableReport(f"{path}: {error}") from error
    if not isinstance(report, dict) or "machine" not in report:
        raise UnreadableReport(f"{path}: not a report of `python -m benchmarks`")
    return report


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.report", description=__doc__)
    parser.add_argument("report", type=Path, help="JSON that `python -m benchmarks` wrote")
    parser.add_argument("page", type=Path, help="Markdown file to write; charts and the JSON go beside it")
    arguments = parser.parse_args()
    try:
        write(read(arguments.report), arguments.page)
    except UnreadableReport as error:
        print(f"report: {error}", file=sys.stderr)
        return 1
    print(f"written to {arguments.page}")
    return 0
