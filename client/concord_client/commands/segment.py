"""``concord segment``: the mask of what a text names."""

import argparse
import sys
from pathlib import Path

from concord_client.atomic_file import write_atomically
from concord_client.client import Client
from concord_client.commands import ExitCode
from concord_client.commands.connection import add_connection_arguments, read_connection
from concord_client.commands.plan import Job, check_outputs
from concord_client.commands.remarks import remarks

HELP = "write the mask of the part of a photograph that a text names"
DESCRIPTION = """\
Writes a grey PNG of the photograph's size, white where the part is, and prints the score of the mask (0 to 1).

  concord segment --image photo.jpg --text "the teddy bear" -o mask.png"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declares the flags."""
    parser.add_argument("--image", metavar="FILE", type=Path, required=True, help="the photograph")
    parser.add_argument("--text", required=True, help="names the part")
    parser.add_argument("-o", "--output", metavar="FILE", type=Path, required=True, help="the PNG to write")
    add_connection_arguments(parser)


def run(args: argparse.Namespace) -> int:
    """Writes the mask, prints its score and returns the exit code."""
    connection = read_connection(args)
    check_outputs([Job(args.image, args.output, args.text)])
    with Client(**connection) as client:
        answer = client.segment(args.image, args.text)
    write_atomically(args.output, answer.mask)
    for remark in remarks(args.text, answer.score, answer.truncated):
        print(f"concord: {remark}", file=sys.stderr)
    print(f"score {answer.score:.3f}")
    return ExitCode.OK
