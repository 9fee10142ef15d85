"""Arguments that several commands have."""

from argparse import ArgumentParser
from pathlib import Path

from export.publication import REPOSITORY


def add_repository(parser: ArgumentParser) -> None:
    parser.add_argument("--model-repository", type=Path, default=REPOSITORY, metavar="DIR")


def add_form(parser: ArgumentParser, convolution: str) -> None:
    """How a graph is written for its engine, see `export.runtime_form.Form`, and the default of its convolution."""
    parser.add_argument(
        "--attention",
        choices=("fused", "plain"),
        default="fused",
        help="fused: ONNX Runtime's operator; plain: standard operators only, for other runtimes",
    )
    parser.add_argument(
        "--convolution",
        choices=("winograd", "direct"),
        default=convolution,
        help="winograd: fewer products and larger weights, for CPUs without BF16; direct: as published, for others and "
        f"GPUs (default: {convolution})",
    )
