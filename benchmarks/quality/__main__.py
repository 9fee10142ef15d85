"""Scores served harmonizers on data in iHarmony4's layout, as published: PSNR, SSIM, MSE and fMSE at 256 x 256.

Results are kept: the same command continues a stopped run.
"""

import argparse
import sys
from collections.abc import Sequence

from annotation.iharmony4 import read_dataset, read_expressions
from benchmarks.quality.arguments import OUTPUT, add_expressions, client_of, ended, parser, write_report
from benchmarks.quality.harmonizing import MASK, TEXT, chosen, every, harmonized
from benchmarks.quality.published import ALL
from benchmarks.quality.referrals import referrals
from benchmarks.quality.scores import side_by_side, tables


def main(given: Sequence[str] | None = None) -> int:
    return ended(run, parse(given))


def run(arguments: argparse.Namespace) -> None:
    """Measures what is left, and writes a report for each model, and one with all of them side by side."""
    expressions = read_expressions(arguments.expressions) if arguments.expressions else None
    wanted = referrals(read_dataset(arguments.dataset), expressions)
    asked = MASK if expressions is None else TEXT
    scored = {}
    with client_of(arguments.url) as client:
        models = every(client, asked) if arguments.model == [ALL] else arguments.model
        for pipeline in (pipelines := chosen(client, models, asked)):
            output = arguments.output / pipeline.model if len(pipelines) > 1 else arguments.output
            found = harmonized(arguments, output, client, pipeline, wanted)
            composites = len({result["name"] for result in found.results})
            count = wanted.lacking + len(found.left_out)
            title = f"{pipeline.model}: {composites} of {wanted.composites} composites, {count} left out"
            pieces = [title, tables(found.results) if found.results else "nothing was scored"]
            write_report(output / "report.md", pieces, [*wanted.missing, *found.missing])
            scored[pipeline.model] = found.results
    if len(scored) > 1:
        measures = ("MSE", "fMSE") if expressions is None else ("MSE", "fMSE", "IoU")
        pieces = [" / ".join(measures), side_by_side(scored, measures)]
        write_report(arguments.output / "report.md", pieces, ())


def parse(given: Sequence[str] | None) -> argparse.Namespace:
    made = parser("benchmarks.quality", __doc__, OUTPUT)
    add_expressions(made, required=False)
    made.add_argument(
        "--model",
        nargs="+",
        default=[None],
        metavar="NAME",
        help=f"harmonizers of the server, side by side where there are several; {ALL}: every one; default: its first",
    )
    return made.parse_args(given)


if __name__ == "__main__":
    sys.exit(main())
