"""`make bench`: writes `out/bench/report.json`, the report and its charts beside it, and prints the measurements."""

import argparse
import json
import sys
from datetime import UTC, datetime
from typing import Any

from pydantic import TypeAdapter

from benchmarks import OUTPUT, page
from benchmarks.machine import named_machine
from benchmarks.parts import PARTS, part

REPORT = OUTPUT / "report.json"


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument(
        "--only",
        nargs="+",
        choices=PARTS,
        default=list(PARTS),
        metavar="PART",
        help=f"of {', '.join(PARTS)}; what the file says of the others stays, if it is of this machine",
    )
    parser.add_argument("--rows", nargs="+", default=[], metavar="ROW", help="of parts that have rows, these alone")
    arguments = parser.parse_args()
    only = arguments.only
    if arguments.rows:
        known = [row for name in only for row in getattr(part(name), "ROWS", ())]
        if unknown := set(arguments.rows) - set(known):
            parser.error(f"no such row: {', '.join(sorted(unknown))}; allowed: {', '.join(known) or 'none'}")
    here = {"machine": named_machine()}
    whole = earlier() | here
    for name in [name for name in PARTS if name in only]:
        module = part(name)
        chosen = [arguments.rows] if hasattr(module, "ROWS") and arguments.rows else []
        whole[name] = TypeAdapter(module.Numbers).dump_python(module.measure(*chosen), mode="json")
        whole["measured"] = whole.get("measured", {}) | {name: f"{datetime.now(UTC):%Y-%m-%d %H:%M}"}
        # After every part: the last one ends hours after the first.
        page.write(whole, OUTPUT / "report.md")
    print(page.render({name: whole[name] for name in (*here, *only)}, REPORT.stem))
    print(f"written to {OUTPUT / 'report.md'}, with its numbers in {REPORT}")
    return 0


def earlier() -> dict[str, Any]:
    """The previous run's report, if it is from this machine and the same packages."""
    whole: dict[str, Any] = json.loads(REPORT.read_text()) if REPORT.is_file() else {}
    return whole if whole.get("machine") == named_machine() else {}


if __name__ == "__main__":
    sys.exit(main())
