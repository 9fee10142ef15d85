"""``concord bulk``: many pictures on the nodes of a Ray cluster."""

import argparse
import sys
from importlib.util import find_spec
from pathlib import Path

from concord.bulk.order import COLUMNS, Order
from concord_client.commands import ExitCode, UsageError
from concord_client.commands.flags import given_settings

HELP = "many pictures on the nodes of a Ray cluster: folders, Parquet and buckets"
DESCRIPTION = f"""{HELP}.

  concord bulk photos out --task harmonize --masks masks
  concord bulk s3://bucket/photos s3://bucket/out --task harmonize --expressions texts.jsonl
  concord bulk rows.parquet out --task segment --text-column caption --id-column name

Pictures go to OUTPUT/images, and OUTPUT/results.parquet says of each row what became of it. A run that was killed goes
on where it was: a row is done when its picture is there. A row that the server refused is not asked again, one that
failed otherwise is. Without --address, Ray runs on this machine for as long as the run takes. The settings of a model
are flags too: `concord models` lists them."""
takes_settings = True
_SHOWN = 20


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declares the flags."""
    parser.add_argument("input", metavar="INPUT", help="images or Parquet: a folder, a file, or a URL")
    parser.add_argument("output", metavar="OUTPUT", help="a folder, or the URL of one, outside of INPUT")
    parser.add_argument("--task", metavar="NAME", required=True, help="what is done, such as harmonize")
    parser.add_argument("--model", metavar="NAME", help="what answers; `concord models` lists the models")
    texts = parser.add_mutually_exclusive_group()
    texts.add_argument("--text", metavar="WORDS", help="the same for every row")
    texts.add_argument("--expressions", metavar="FILE", help='JSON lines, {"image": NAME, "text": WORDS}')
    parser.add_argument("--masks", metavar="PATTERN", help="a folder or its URL, or a path with {stem} in it")
    for each in COLUMNS:
        words = f"of a Parquet table (default: {each}, if it is there)"
        parser.add_argument(f"--{each}-column", metavar="NAME", help=words)
    parser.add_argument("--again", action="store_true", help="ask again what the server refused")
    parser.add_argument(
        "--set", metavar="NAME=VALUE", action="append", default=[], help="a setting of the model, as --NAME VALUE"
    )
    group = parser.add_argument_group("cluster and servers")
    group.add_argument("--address", metavar="HOST:PORT", help="of a Ray cluster (default: this machine alone)")
    group.add_argument("--url", metavar="HOST:PORT", help="of a server that all nodes ask (default: a Triton on each)")
    words = "of these Tritons; may be given several times (default: the project's)"
    group.add_argument("--model-repository", metavar="FOLDER", type=Path, action="append", default=[], help=words)
    group.add_argument("--timeout", metavar="SECONDS", type=float, help="longest wait for one answer")


def run(args: argparse.Namespace) -> int:
    """Does it, and says on stderr what became of the rows; returns the exit code."""
    order = Order(
        source=args.input,
        target=args.output,
        task=args.task,
        model=args.model,
        settings=given_settings(args.set, args.unknown),
        text=args.text,
        expressions=args.expressions,
        masks=args.masks,
        columns={each: name for each in COLUMNS if (name := getattr(args, f"{each}_column")) is not None},
        again=args.again,
        url=args.url,
        timeout=args.timeout,
        repositories=tuple(args.model_repository),
    )
    if args.timeout is not None and not 0 < args.timeout < float("inf"):
        raise UsageError(f"--timeout is {args.timeout:g}; allowed: a number of seconds above 0")
    order.request  # noqa: B018 - raises for a wrong task, before anything is imported
    if missing := [name for name in ("ray", "pyarrow", "fsspec") if find_spec(name) is None]:
        raise UsageError(f"this needs {', '.join(missing)}: pip install 'concord[bulk]'")
    # Ray takes seconds to import.
    from concord.bulk.run import run as run_order

    summary = run_order(order, args.address)
    print(f"concord: {summary.words}", file=sys.stderr)
    for name, reason in list(summary.errors.items())[:_SHOWN]:
        print(f"concord: {name}: {reason}", file=sys.stderr)
    if len(summary.errors) > _SHOWN:
        print(f"concord: and {len(summary.errors) - _SHOWN} more; the table has them all", file=sys.stderr)
    return ExitCode.FAILED if summary.errors else ExitCode.OK
