"""How many machines a rate needs, and what pictures cost: `python -m benchmarks.scaling PAGE.md`.

Writes the page from the numbers of the part `scaling` in the reports of all kinds of processors, in the folder
`performance` beside it. With `--rate` and `--p99` it prints how many machines answer that.
"""

import argparse
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from pydantic import TypeAdapter

from benchmarks import page
from benchmarks.page import Report, UnreadableReport
from benchmarks.parts import scaling
from benchmarks.parts.scaling import PATIENCE, Needed, Numbers, Subject
from benchmarks.queueing.replicas import needed
from benchmarks.report import measured
from concord.instruments.markdown import percent, table

REPORTS = "performance.md"
PART = scaling.__name__.rpartition(".")[2]
PRICE = 1.0
"""Of an hour of one machine; nobody's price, so that every cost is in hours of the machine."""
ACCEPTED = 0.25
"""How far the simulated p99 may be from the measured one."""
AGAIN = "make scaling"
NONE = "none are enough"


def numbers_of(reports: Mapping[str, Report]) -> dict[str, Numbers]:
    """What was measured, by kind of processor."""
    return {
        kind: TypeAdapter(Numbers).validate_python(report[PART]) for kind, report in reports.items() if PART in report
    }


def written(reports: Mapping[str, Report], price: float = PRICE) -> str:
    """The page of all kinds of processors.

    Args:
        price: of an hour of one machine.
    """
    found = numbers_of(reports)
    kinds = [of_kind(kind, reports[kind], numbers, price) for kind, numbers in found.items()]
    return "\n\n".join([opening(price), *(kinds or [f"Not measured on any kind of processor yet: `{AGAIN}`."])]) + "\n"


def opening(price: float) -> str:
    patience = " or ".join(f"{each} times" for each in PATIENCE)
    return (
        "# How many machines\n\n"
        "What one machine answers, how many of its like a rate needs behind a "
        "[balancer](../deploy/README.md#haproxy-in-front-of-several-concords), and what a thousand pictures cost then. "
        "A picture is a 512x512 JPEG in the model's default settings, through the facade.\n\n"
        "- **Measured** on each kind of processor: how long requests take where 1, 2, ... of them run at a time, to as "
        "many as the facade sends. Whether they share the processors or are merged into a batch is in these times.\n"
        "- **Simulated** from them: requests come at random (a Poisson process), go to the replica that has fewest, "
        f"and wait there. 99 of 100 have to be answered within {patience} the median time of one alone; one that a "
        "full queue refuses was not. Bursts, a replica that is gone and other sizes of pictures are not in it.\n"
        f"- **Compared** with {percent(scaling.LOAD)} of the most that the machine can answer; the last column says "
        "how far the simulated p99 was from the measured one. There is no plan for a row that was off by more than "
        f"{percent(ACCEPTED)}.\n"
        f"- **Assumed:** an hour of a machine costs {price:g}. That is nobody's price; `--price` takes yours.\n\n"
        f"`{AGAIN}` measures your machine and writes this page. For a rate and a p99 of your own: "
        "`python -m benchmarks.scaling docs/scaling.md --rate PER_SECOND --p99 SECONDS`."
    )


def of_kind(kind: str, report: Report, numbers: Numbers, price: float) -> str:
    when = report.get("measured", {}).get(PART, "")
    rows = [
        [
            *names(subject),
            subject.service.places,
            1000 * subject.needed[0].seconds / subject.needed[0].patience,
            3600 * subject.service.per_second,
            1000 * price / (3600 * subject.service.per_second),
            scaling.off(subject.check),
        ]
        for subject in numbers.subjects
    ]
    header = ["model", "profile", "at a time", "ms alone", "pictures an hour, at most", "a thousand cost", "p99 off by"]
    parts = [
        f"## `{kind}`",
        f"{page.computer(page.machine_of(report, PART))}. Measured {when} (UTC).",
        table(header, rows),
    ]
    usable = [subject for subject in numbers.subjects if is_close(subject)]
    if usable:
        cells = {(each.per_hour, each.patience): each for subject in usable for each in subject.needed}
        columns = [f"{per_hour:,} an hour, {patience} times" for per_hour, patience in cells]
        machines = [[*names(subject), *(machines_of(each, price) for each in subject.needed)] for subject in usable]
        parts += [
            "Machines, and in parentheses what a thousand pictures cost:",
            table(["model", "profile", *columns], machines),
        ]
    return "\n\n".join(parts)


def names(subject: Subject) -> tuple[str, str]:
    model, _, profile = subject.row.partition("/")
    form = f" ({subject.form})" if subject.form not in ("", profile) else ""
    return f"`{model}`", f"`{profile}`{form}"


def machines_of(each: Needed, price: float) -> str:
    if each.replicas is None:
        return NONE
    return f"{each.replicas} ({1000 * price * each.replicas / each.per_hour:.3g})"


def is_close(subject: Subject) -> bool:
    """Whether the simulation was near enough to what was measured."""
    return abs(subject.check.simulated["p99"] / subject.check.measured["p99"] - 1) <= ACCEPTED


def answer(reports: Mapping[str, Report], rate: float, seconds: float) -> str:
    """A table of the machines for a rate a second with a p99 in seconds."""

    def machines(subject: Subject) -> str:
        if not is_close(subject):
            return f"not known: the simulated p99 was off by {scaling.off(subject.check)}"
        found = needed(subject.service, rate, seconds)
        return NONE if found is None else str(found)

    rows = [
        [f"`{kind}`", *names(subject), machines(subject)]
        for kind, numbers in numbers_of(reports).items()
        for subject in numbers.subjects
    ]
    return table(["kind", "model", "profile", "machines"], rows)


def above_zero(word: str) -> float:
    value = float(word)
    if not 0 < value < float("inf"):
        raise argparse.ArgumentTypeError(f"is {word}; allowed: above 0")
    return value


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.scaling", description=__doc__)
    parser.add_argument("page", type=Path, help="Markdown file to write")
    parser.add_argument(
        "--price", type=above_zero, default=PRICE, help="of an hour of one machine (default: %(default)g)"
    )
    parser.add_argument("--rate", type=above_zero, metavar="PER_SECOND", help="pictures; nothing is written")
    parser.add_argument("--p99", type=above_zero, metavar="SECONDS", help="within which 99 of 100 are answered")
    args = parser.parse_args(arguments)
    if (args.rate is None) != (args.p99 is None):
        parser.error("--rate and --p99 are given together")
    try:
        reports = measured(args.page.with_name(REPORTS))
    except UnreadableReport as error:
        print(f"scaling: {error}", file=sys.stderr)
        return 1
    if args.rate is not None:
        print(answer(reports, args.rate, args.p99))
        return 0
    args.page.write_text(written(reports, args.price))
    print(f"written to {args.page}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
