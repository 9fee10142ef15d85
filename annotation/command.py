"""``concord annotate``: a page on which people choose referring expressions for the composites of a data set."""

import argparse
import os
import sys
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path

from concord_client.commands import ExitCode, UsageError

HELP = "a page on which people choose referring expressions for composites"
DESCRIPTION = f"""{HELP}.

  concord annotate --dataset iHarmony4
  concord annotate --dataset iHarmony4 --captioner http://localhost:8000/v1 qwen2.5-vl --annotators 2
  concord annotate --dataset iHarmony4 --export expressions.jsonl

The data set has iHarmony4's layout. Suggestions are made ahead, by rules and by captioners, and beside each stands the
IoU that the task `segment` reaches with it, of the Concord at --url or of one that is started. Answers are in a
database in the data set's folder, or where --answers says. A signal stops it when what was sent is kept."""
SETTINGS = (
    "host",
    "port",
    "origins",
    "open",
    "api_keys",
    "api_keys_file",
    "store",
    "accounts",
    "read_timeout",
    "model_repository",
    "log_level",
)
"""Those of ``concord serve`` that it has, too."""
NEEDED = ("aiosqlite", "alembic", "httpx", "jinja2", "sqlalchemy")
KEY_VARIABLE, ANSWERS_VARIABLE = "CONCORD_CAPTIONER_KEY", "CONCORD_ANNOTATIONS"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declares the flags."""
    # It takes a tenth of a second to import, and names what is declared there.
    from facade.settings import add_arguments as add_settings

    parser.add_argument("--dataset", metavar="DIR", type=Path, required=True, help="with HCOCO, HAdobe5k, ... in it")
    words = "database of the answers, sqlite:///PATH or postgresql://, mariadb:// or mysql://"
    words = f"{words} [{ANSWERS_VARIABLE}, which other users cannot see; default: a file in DIR]"
    parser.add_argument("--answers", metavar="URL", help=words)
    parser.add_argument("--export", metavar="FILE", type=Path, help="write the answers as JSON lines, and end")
    group = parser.add_argument_group("people")
    group.add_argument("--annotators", metavar="N", type=_whole(1, 10), default=1, help="of each sample (default: 1)")
    words = "minutes that a sample is kept for whoever has it (default: 15)"
    group.add_argument("--claim-minutes", metavar="N", type=_whole(1, 24 * 60), default=15, help=words)
    words = 'JSON lines of known answers, as --export writes them; "skipped" where no expression is right'
    group.add_argument("--qualification", metavar="FILE", type=Path, help=words)
    words = "of these are asked before the samples (default: 10)"
    group.add_argument("--qualification-samples", metavar="N", type=_whole(1, 1000), default=10, help=words)
    words = "share of them that has to be right, 0 to 1 (default: 0.8)"
    group.add_argument("--qualification-threshold", metavar="SHARE", type=_share, default=0.8, help=words)
    group = parser.add_argument_group("suggestions")
    words = (
        "OpenAI's chat completions at http(s)://HOST/v1, or Triton's gRPC at grpc://HOST:PORT, and the model; may be "
        f"given several times. A key for the former is {KEY_VARIABLE}"
    )
    metavar = ("URL", "MODEL")
    group.add_argument("--captioner", metavar=metavar, nargs=2, action="append", default=[], help=words)
    words = "longest wait for its answer (default: 30)"
    group.add_argument("--captioner-timeout", metavar="SECONDS", type=_whole(1, 600), default=30, help=words)
    words = "samples that suggestions are made for ahead of the first without an answer (default: 1000)"
    group.add_argument("--lead", metavar="N", type=_whole(1, 1_000_000), default=1000, help=words)
    words = "whether the IoU of each expression is measured (default: it is)"
    group.add_argument("--confidence", action=argparse.BooleanOptionalAction, default=True, help=words)
    group.add_argument("--url", metavar="HOST:PORT", help="gRPC of the Concord that is asked (default: one is started)")
    group.add_argument("--model", metavar="NAME", help="its segmenter (default: its first)")
    add_settings(parser.add_argument_group("server"), SETTINGS)


def run(args: argparse.Namespace) -> int:
    """Serves until a signal comes, or exports; returns the exit code."""
    if missing := [name for name in NEEDED if find_spec(name) is None]:
        raise UsageError(f"this needs {', '.join(missing)}: pip install 'concord[annotate]'")
    # What is heavy is imported here, since `concord --help` imports this module.
    from annotation.record import DatasetError
    from annotation.serve import export, serve
    from concord.errors import ServerFailure
    from facade.problems import Problem
    from facade.settings import SettingsError
    from facade.store.errors import StoreError

    args.answers = args.answers or os.environ.get(ANSWERS_VARIABLE)
    args.captioner_key = os.environ.get(KEY_VARIABLE, "")
    try:
        return export(args) if args.export is not None else serve(args)
    except (SettingsError, ValueError) as error:
        raise UsageError(str(error)) from error
    except (DatasetError, ServerFailure, StoreError, Problem) as error:
        print(f"concord: {error.detail if isinstance(error, Problem) else error}", file=sys.stderr)
        return ExitCode.FAILED


def _whole(lowest: int, highest: int) -> Callable[[str], int]:
    def read(given: str) -> int:
        if not given.isdecimal() or not lowest <= int(given) <= highest:
            raise argparse.ArgumentTypeError(f"{given[:20]!r}; allowed: a whole number from {lowest} to {highest}")
        return int(given)

    return read


def _share(given: str) -> float:
    try:
        share = float(given)
    except ValueError:
        share = -1.0
    if not 0 <= share <= 1:
        raise argparse.ArgumentTypeError(f"{given[:20]!r}; allowed: a number from 0 to 1")
    return share


if __name__ == "__main__":
    command = argparse.ArgumentParser(prog="concord annotate", description=HELP)
    add_arguments(command)
    try:
        sys.exit(run(command.parse_args()))
    except UsageError as error:
        command.error(str(error))
