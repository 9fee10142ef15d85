"""``concord dataset clean``."""

import argparse
import json
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from tqdm import tqdm  # type: ignore[import-untyped]

from annotation.dataset.cleaning import Cleaned, Rules, clean
from annotation.dataset.cleaning_report import numbers, report
from annotation.dataset.commands.files import add_dataset, add_file, check_output, samples, write_json
from annotation.record import Annotation, Record, line_of, read_records, write_records
from concord.instruments.arguments import positive
from concord_client import Client
from concord_client.atomic_file import write_atomically
from concord_client.commands import UsageError
from concord_client.commands.flags import add_connection_arguments, read_connection

HELP = "repair and sort out expressions, and list those that a person should look at"
EXPRESSIONS, SECOND_LOOK, REMOVED, MEASURED = (
    f"{name}.jsonl" for name in ("expressions", "second_look", "removed", "measured")
)
SERVER, EMBEDDED = "server", "embedded"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    rules = Rules()
    add_file(parser, "DIR")
    words = "expressions with a lower IoU are removed (%(default)s)"
    parser.add_argument("--least", metavar="IOU", type=_share, default=rules.least, help=words)
    words = "those with a lower one are kept and listed for a second look (%(default)s)"
    parser.add_argument("--low", metavar="IOU", type=_share, default=rules.low, help=words)
    words = "expressions a composite, those with the highest IoU (%(default)s)"
    parser.add_argument("--most", metavar="N", type=positive, default=rules.most, help=words)
    words = f"find out the IoU where it is missing: with the {SERVER} of --url, or one that is started for it"
    parser.add_argument("--measure", choices=(SERVER, EMBEDDED), help=words)
    add_dataset(parser, "needed for --measure")
    parser.add_argument(
        "--model", metavar="NAME", help="of --measure: what finds the part; `concord models` lists them"
    )
    add_connection_arguments(parser)


def run(args: argparse.Namespace) -> None:
    """Writes the cleaned expressions, the lists and the report.

    Raises:
        UsageError: flags do not belong together.
        DatasetError: the annotations or the data set cannot be used.
    """
    if args.measure and not args.dataset:
        raise UsageError("--measure needs --dataset, the composites and their masks")
    if args.model and not args.measure:
        raise UsageError("--model goes with --measure")
    for name in (EXPRESSIONS, SECOND_LOOK, REMOVED, MEASURED):
        check_output(args, args.output / name)
    records = read_records(args.file)
    args.output.mkdir(parents=True, exist_ok=True)
    if args.measure:
        records = _measured(args, records)
    rules = Rules(args.least, args.low, args.most)
    _write(args.output, clean(records, rules), rules)


def _measured(args: argparse.Namespace, records: list[Record]) -> list[Record]:
    """The records with their IoU, where it can be found out; the others are told."""
    # Torch-free, but seconds to import, and only needed here.
    from annotation.dataset.measuring import measured, segmenter

    known = samples(args.dataset)
    with _client(args) as client:
        found = measured(records, known, segmenter(client, args.model), args.output / MEASURED)
        pairs = list(tqdm(found, "measuring", len(records)))
    for record, problem in pairs:
        if problem and isinstance(record, Annotation):
            print(f"not measured: {record.composite}, {record.expression!r}: {problem}")
    return [record for record, _ in pairs]


@contextmanager
def _client(args: argparse.Namespace) -> Iterator[Client]:
    with ExitStack() as stack:
        connection = read_connection(args)
        if args.measure == EMBEDDED:
            from concord.server.embedded import EmbeddedServer, Ports

            connection["url"] = stack.enter_context(EmbeddedServer(ports=Ports(0, 0, 0))).grpc_url
            connection["protocol"] = "grpc"
        yield stack.enter_context(Client(**connection))


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
