"""A published table of harmonizers: models of the server, scored on the same composites, and the published scores."""

import argparse
from collections.abc import Mapping, Sequence

from annotation.iharmony4 import read_dataset
from annotation.record import DatasetError
from annotation.scored import SIZE
from benchmarks.quality.arguments import client_of, write_report
from benchmarks.quality.harmonizing import chosen, every, harmonized
from benchmarks.quality.published import ALL, Published
from benchmarks.quality.referrals import referrals
from benchmarks.quality.scores import COMPOSITE, Result, beside_published, side_by_side

REPORT = "report.md"


def add_models(made: argparse.ArgumentParser, default: str) -> None:
    """The flag of the models that are compared."""
    words = f"harmonizers of the server; {ALL}: every one that takes what is given; default: {default}"
    made.add_argument("--model", nargs="+", default=[], metavar="NAME", help=words)


def compare(
    arguments: argparse.Namespace,
    title: str,
    beside: Published,
    given: set[str],
    expressions: Mapping[str, Sequence[str]] | None,
    only_published: bool,
) -> None:
    """Scores each model in a folder of its own, and writes the table with the published scores.

    Args:
        given: the inputs that harmonizers get.
        only_published: without `--model`, models that the published table lacks are left aside.

    Raises:
        DatasetError: nothing can be compared.
    """
    wanted = referrals(read_dataset(arguments.dataset), expressions)
    scored: dict[str, list[Result]] = {}
    missing = list(wanted.missing)
    with client_of(arguments.url) as client:
        able = every(client, given)
        served = [column.served for column in beside.columns if column.served]
        absent = [column for column in beside.columns if column.served and column.served not in able]
        missing += [f"{column.method}: no model {column.served} on this server" for column in absent]
        default = [model for model in able if model in served or not only_published]
        asked = able if arguments.model == [ALL] else arguments.model or default
        for pipeline in chosen(client, asked, given):
            found = harmonized(arguments, arguments.output / pipeline.model, client, pipeline, wanted)
            missing += [f"{pipeline.model}: {line}" for line in found.missing]
            missing += [f"{pipeline.model}: nothing was scored"] * (not found.results)
            scored |= {pipeline.model: found.results} if found.results else {}
    if not scored:
        raise DatasetError("; ".join(missing) or "there is nothing to compare")
    words = (
        f"{' / '.join(beside.measures)}, means over images of {arguments.dataset}, scored at {SIZE} x {SIZE}, with the "
        f"weights that this server has. Published: {beside.source}."
    )
    pieces = [f"# {title}", words, side_by_side(scored, beside.measures, beside)]
    if any(not column.served and column.method != COMPOSITE for column in beside.columns):
        pieces.append(beside_published(scored, beside))
    write_report(arguments.output / REPORT, pieces, missing)
