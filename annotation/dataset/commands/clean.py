"""``concord dataset clean``."""

import argparse
import json
from contextlib import ExitStack
from pathlib import Path

from annotation.dataset.cleaning import Cleaned, Rules, clean
from annotation.dataset.cleaning_report import numbers, report
from annotation.dataset.commands.files import add_dataset, add_file, check_output, samples, write_json
from annotation.record import Record, line_of, read_records, write_records
from concord.instruments.arguments import positive
from concord_client.atomic_file import write_atomically
from concord_client.commands import UsageError

HELP = "repair and sort out expressions, and list those that a person should look at"
EXPRESSIONS, SECOND_LOOK, REMOVED, MEASURED = (
    f"{name}.jsonl" for name in ("expressions", "second_look", "removed", "measured")
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    rules = Rules()
    add_file(parser, "DIR")
    words = "expressions with a lower IoU are removed (%(default)s)"
    parser.add_argument("--least", metavar="IOU", type=_share, default=rules.least, help=words)
    words = "those with a lower one are kept and listed for a second look (%(default)s)"
    parser.add_argument("--low", metavar="IOU", type=_share, default=rules.low, help=words)
    words = "expressions a composite, those with the highest IoU (%(default)s)"
    parser.add_argument("--most", metavar="N", type=positive, default=rules.most, help=words)
    group = parser.add_argument_group("measuring")
    words = "find out the IoU where it is missing, by the task `segment`"
    group.add_argument("--measure", action="store_true", help=words)
    add_dataset(group, "needed for --measure")
    group.add_argument("--url", metavar="HOST:PORT", help="gRPC of the Concord that is asked (default: one is started)")
    group.add_argument("--model", metavar="NAME", help="its segmenter (default: its first)")


def run(args: argparse.Namespace) -> None:
    """Writes the cleaned expressions, the lists and the report.

    Raises:
        UsageError: flags do not belong together.
        DatasetError: the annotations or the data set cannot be used.
    """
    if args.measure and not args.dataset:
        raise UsageError("--measure needs --dataset, the composites and their masks")
    if (args.model or args.url) and not args.measure:
        raise UsageError("--url and --model go with --measure")
    for name in (EXPRESSIONS, SECOND_LOOK, REMOVED, MEASURED):
        check_output(args, args.output / name)
    records = read_records(args.file)
    args.output.mkdir(parents=True, exist_ok=True)
    if args.measure:
        records = _measured(args, records)
    rules = Rules(args.least, args.low, args.most)
    _write(args.output, clean(records, rules), rules)


def _measured(args: argparse.Namespace, records: list[Record]) -> list[Record]:
    """The records with their IoU, where it can be found out."""
    # These take seconds to import, and are needed only here.
    from annotation.confidence import Confidence
    from annotation.dataset.measuring import measured
    from concord.server.embedded import EmbeddedServer, Ports

    known = samples(args.dataset)
    with ExitStack() as stack:
        url = args.url or stack.enter_context(EmbeddedServer(ports=Ports(0, 0, 0))).grpc_url
        return measured(records, known, Confidence(url, args.model), args.output / MEASURED)


def _write(folder: Path, cleaned: Cleaned, rules: Rules) -> None:
    """Everything that cleaning found; the expressions last, so that they are there when all is."""
    removed = [{**json.loads(line_of(each.record)), "reason": each.reason} for each in cleaned.removed]
    lines = "".join(f"{json.dumps(each, ensure_ascii=False)}\n" for each in removed)
    write_atomically(folder / REMOVED, lines.encode())
    write_records(folder / SECOND_LOOK, cleaned.low)
    text = report(cleaned, rules)
    write_atomically(folder / "report.md", text.encode())
    write_json(folder / "report.json", numbers(cleaned, rules), indent=2)
    write_records(folder / EXPRESSIONS, cleaned.kept)
    print(f"{text}\nwritten to {folder}")


def _share(text: str) -> float:
    try:
        share = float(text)
    except ValueError:
        share = -1.0
    if not 0 <= share <= 1:
        raise argparse.ArgumentTypeError(f"{text[:40]!r} is not an IoU, a number from 0 to 1")
    return share
