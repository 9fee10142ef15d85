"""The command ``concord dataset``, which has an action for each thing that is done to a file of annotations."""

import argparse
import sys
from typing import Protocol

from annotation.dataset.commands import clean, export, import_, statistics
from annotation.record import DatasetError
from concord.errors import ConcordError
from concord_client.commands import ExitCode, one_line

HELP = "clean annotations, count them, and write or read them in other forms"
DESCRIPTION = """\
From a file of annotations to a data set. Files are JSON lines, such as `concord annotate` writes them; what is given is
never changed, and a file that is written is there in full or not at all.

  concord dataset clean annotations.jsonl -o cleaned
  concord dataset statistics cleaned/expressions.jsonl --dataset iHarmony4 -o statistics
  concord dataset export cleaned/expressions.jsonl --dataset iHarmony4 --form coco -o expressions.json
  concord dataset import project-1.json -o annotations.jsonl"""


class Action(Protocol):
    """A module of an action."""

    HELP: str

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        """Declares the flags."""

    def run(self, args: argparse.Namespace) -> None:
        """Does it."""


ACTIONS: dict[str, Action] = {"clean": clean, "statistics": statistics, "export": export, "import": import_}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declares the actions and their flags."""
    actions = parser.add_subparsers(metavar="ACTION", required=True)
    for name, action in ACTIONS.items():
        made = actions.add_parser(name, help=action.HELP, description=f"{action.HELP}.", allow_abbrev=False)
        action.add_arguments(made)
        made.set_defaults(action=action.run, parser=made)


def run(args: argparse.Namespace) -> int:
    """Runs the action; returns the exit code.

    Raises:
        UsageError: flags do not belong together.
        ConcordClientError, OSError: a server or a file cannot be used.
    """
    try:
        args.action(args)
    except (DatasetError, ConcordError) as error:
        print(f"concord: {one_line(error)}", file=sys.stderr)
        return ExitCode.FAILED
    return ExitCode.OK
