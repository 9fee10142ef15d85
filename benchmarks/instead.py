"""The first section of the report: Concord compared with each thing that a user would run instead."""

from collections.abc import Sequence

from concord.instruments.markdown import table

Row = tuple[str, str, float, float, str]
"""What is run instead, what is measured, what it and what Concord come to, and how many times as fast Concord is."""


def section(rows: Sequence[Row]) -> str:
    """A row for each; empty if nothing was measured."""
    if not rows:
        return ""
    header = ["instead of Concord", "measure", "that", "Concord", "factor (above 1: Concord is faster)"]
    return (
        "## Concord and what a user would run instead\n\n"
        "The facade is compared with the other servers, because they speak HTTP, too; the rest is over gRPC. 95 % "
        "intervals are in parentheses. The other servers run ONNX Runtime. Concord runs ONNX Runtime, and OpenVINO for "
        "BF16, from the same files.\n\n" + table(header, rows)
    )
