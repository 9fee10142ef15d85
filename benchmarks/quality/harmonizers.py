"""The published table of harmonizers on iHarmony4: PSNR / MSE / fMSE of each by sub-set.

Composites and their masks go to every harmonizer of the server. Results are kept: the same command continues a stopped
run.
"""

import argparse
import sys
from collections.abc import Sequence

from benchmarks.quality.arguments import OUTPUT, ended, parser
from benchmarks.quality.comparison import add_models, compare
from benchmarks.quality.harmonizing import MASK
from benchmarks.quality.published import published


def main(given: Sequence[str] | None = None) -> int:
    made = parser("benchmarks.quality.harmonizers", __doc__, OUTPUT / "harmonizers")
    add_models(made, "every one")
    return ended(run, made.parse_args(given))


def run(arguments: argparse.Namespace) -> None:
    compare(arguments, "Harmonizers", published("harmonizers"), MASK, None, only_published=False)


if __name__ == "__main__":
    sys.exit(main())
