"""Files of the actions: flags, and writing."""

import argparse
import json
from pathlib import Path
from typing import Any

from annotation.iharmony4 import Sample, read_dataset
from concord_client.atomic_file import write_atomically
from concord_client.commands import UsageError


def add_file(parser: argparse.ArgumentParser, output: str) -> None:
    """The file of annotations, and the output, which is a "FILE" or a "DIR"."""
    parser.add_argument("file", metavar="FILE", type=Path, help="annotations in JSON lines")
    add_output(parser, output)


def add_output(parser: argparse.ArgumentParser, output: str) -> None:
    parser.add_argument("-o", "--output", metavar=output, type=Path, required=True, help="what is written")


def add_dataset(parser: argparse._ActionsContainer, words: str) -> None:
    """The folder of the data set; `words` say what it is for."""
    parser.add_argument("--dataset", metavar="DIR", type=Path, help=f"data in iHarmony4's layout: {words}")


def samples(folder: Path) -> dict[str, Sample]:
    """The samples of a data set by the composite's name, those of its training set too.

    Raises:
        DatasetError: there is none.
    """
    return {sample.name: sample for sample in read_dataset(folder, tested=False).samples}


def check_output(args: argparse.Namespace, written: Path) -> None:
    """Refuses to write over what is read; raises UsageError."""
    if written.resolve() == args.file.resolve():
        raise UsageError(f"--output would replace {args.file}; choose another")


def write_json(path: Path, told: Any, indent: int | None = None) -> None:
    """Writes a JSON file, in full or not at all."""
    write_atomically(path, (json.dumps(told, ensure_ascii=False, indent=indent) + "\n").encode())
