"""``concord dataset import``."""

import argparse
from pathlib import Path

from annotation.dataset.commands.files import add_output, check_output
from annotation.dataset.label_studio import read_export
from annotation.record import write_records

HELP = "read annotations from Label Studio's export JSON"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("file", metavar="FILE", type=Path, help='Label Studio\'s export in its form "JSON"')
    add_output(parser, "FILE")


def run(args: argparse.Namespace) -> None:
    """Writes the annotations as JSON lines.

    Raises:
        UsageError: the output would replace the input.
        DatasetError: names the task and the field that are wrong.
    """
    check_output(args, args.output)
    records = read_export(args.file)
    write_records(args.output, records)
    print(f"{len(records)} annotations written to {args.output}")
