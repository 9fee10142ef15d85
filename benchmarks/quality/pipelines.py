"""The published table of pipelines against end-to-end models: MSE / fMSE / IoU of each by sub-set.

Composites and their expressions go to the models of that table. Results are kept: the same command continues a stopped
run.
"""

import argparse
import sys
from collections.abc import Sequence

from annotation.iharmony4 import read_expressions
from benchmarks.quality.arguments import OUTPUT, add_expressions, ended, parser
from benchmarks.quality.comparison import add_models, compare
from benchmarks.quality.harmonizing import TEXT
from benchmarks.quality.published import published


def main(given: Sequence[str] | None = None) -> int:
    made = parser("benchmarks.quality.pipelines", __doc__, OUTPUT / "pipelines")
    add_expressions(made, required=True)
    add_models(made, "those of the published table")
    return ended(run, made.parse_args(given))


def run(arguments: argparse.Namespace) -> None:
    expressions = read_expressions(arguments.expressions)
    title = "Pipelines and end-to-end models"
    compare(arguments, title, published("pipelines"), TEXT, expressions, only_published=True)


if __name__ == "__main__":
    sys.exit(main())
