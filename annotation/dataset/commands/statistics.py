"""``concord dataset statistics``."""

import argparse

from annotation.dataset.commands.files import add_dataset, add_file, check_output, write_json
from annotation.dataset.statistics import read_test_sets, report, statistics
from annotation.record import read_records
from concord_client.atomic_file import write_atomically

HELP = "count composites, expressions and words, in tables and figures"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_file(parser, "DIR")
    add_dataset(parser, "tells which composites are its test set")


def run(args: argparse.Namespace) -> None:
    """Writes the report, the numbers as JSON, and the figures.

    Raises:
        DatasetError: the annotations cannot be used.
    """
    # Matplotlib takes a second to import.
    from annotation.dataset.figures import FORMS, encoded, figures

    check_output(args, args.output / "statistics.json")
    found = statistics(read_records(args.file), read_test_sets(args.dataset) if args.dataset else None)
    args.output.mkdir(parents=True, exist_ok=True)
    drawn = figures(found)
    for name, figure in drawn.items():
        for form in FORMS:
            write_atomically(args.output / f"{name}.{form}", encoded(figure, form))
    text = report(found, {figure.axes[0].get_title(): f"{name}.{FORMS[0]}" for name, figure in drawn.items()})
    write_json(args.output / "statistics.json", found.numbers(), indent=2)
    write_atomically(args.output / "report.md", text.encode())
    print(f"{text}\nwritten to {args.output}")
