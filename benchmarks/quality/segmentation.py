"""The published table of a segmenter on composites against real pictures: IoU by sub-set, with the same expressions.

A changed part differs in its light from the rest, which helps to find it. Results are kept: the same command continues
a stopped run.
"""

import argparse
import sys
from collections.abc import Sequence
from functools import partial

from PIL import UnidentifiedImageError

from annotation.iharmony4 import read_dataset, read_expressions
from annotation.record import DatasetError
from annotation.scored import SIZE, iou, resized
from benchmarks.quality.arguments import OUTPUT, add_expressions, client_of, ended, parser, write_report
from benchmarks.quality.kept import Scored, kept
from benchmarks.quality.pictures import LeftOut, foreground, pixels, resized_mask
from benchmarks.quality.published import published
from benchmarks.quality.referrals import Referral, referrals
from benchmarks.quality.scores import by_name, counts, mean
from concord.instruments import markdown
from concord.png import encode_png
from concord_client import Client, InvalidInput, Segment


class Segmentation(Scored):
    """IoU, 0 to 1, of the mask that was found with the true one: in the real picture and in the composite."""

    real: float
    composite: float


def main(given: Sequence[str] | None = None) -> int:
    made = parser("benchmarks.quality.segmentation", __doc__, OUTPUT / "segmentation")
    add_expressions(made, required=True)
    made.add_argument("--model", metavar="NAME", help="a segmenter of the server; default: its first")
    return ended(run, made.parse_args(given))


def run(arguments: argparse.Namespace) -> None:
    """Segments what is left, and writes the table."""
    wanted = referrals(read_dataset(arguments.dataset), read_expressions(arguments.expressions))
    with client_of(arguments.url) as client:
        asked = {"IMAGE", "TEXT"}
        model = client.catalogue().choose(Segment.TASK, arguments.model, asked, streams=True).model
        settings = {
            "dataset": str(arguments.dataset.resolve()),
            "model": model,
            "expressions": str(arguments.expressions.resolve()),
            "full_resolution": arguments.full_resolution,
        }
        ask = partial(measure, client, model, arguments.full_resolution)
        found = kept(arguments.output, settings, wanted.found, ask, arguments.limit)
    missing = [*wanted.missing, *found.missing]
    if not found.results:
        raise DatasetError("; ".join(missing) or "there is nothing to segment")
    words = (
        f"IoU in % of `{model}`, means over expressions of {arguments.dataset}, scored at {SIZE} x {SIZE}, with the "
        f"weights that this server has. Published: {published('segmentation').source}."
    )
    pieces = ["# Segmentation on composites and on real pictures", words, table(found.results)]
    write_report(arguments.output / "report.md", pieces, missing)


def measure(client: Client, model: str, full: bool, referral: Referral) -> Segmentation:
    """Segments a composite and its real picture by one expression.

    Args:
        full: they are sent as they are, not at 256 x 256.

    Raises:
        LeftOut: a file is not an image, the mask is empty, or the server refuses them.
    """
    sample = referral.sample
    try:
        truth = resized_mask(foreground(sample))
        found = []
        for path in (sample.real, sample.composite):
            picture = pixels(path) if full else resized(pixels(path))
            answer = client.run(Segment(encode_png(picture), referral.expression or ""), model=model)
            found.append(iou(answer.mask, truth))
    except (UnidentifiedImageError, OSError, InvalidInput) as error:
        raise LeftOut(str(error)) from error
    real, composite = found
    return Segmentation(
        name=sample.name, subset=sample.subset, expression=referral.expression, real=real, composite=composite
    )


def table(results: Sequence[Segmentation]) -> str:
    """Markdown: IoU by sub-set on real pictures, on composites, and how much more on these; then the published ones."""
    beside = published("segmentation").columns
    header = ["sub-set", "images", "expressions", "real pictures", "composites", "gain"]
    rows = []
    for name, group in by_name(results).items():
        real, composite = ([100 * each[kind] for each in group] for kind in ("real", "composite"))
        gain = [after - before for before, after in zip(real, composite, strict=True)]
        cells = [column.cell(name) for column in beside]
        rows.append([name, *counts(group, ["images", "expressions"]), mean(real), mean(composite), mean(gain), *cells])
    return markdown.table([*header, *(f"published: {column.method}" for column in beside)], rows)


if __name__ == "__main__":
    sys.exit(main())
