"""How far networks are from what the machine can do."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from concord.instruments.markdown import Columns, percent
from concord.variants import PRECISIONS

NOTE = (
    "The peak is that of a product of matrices in the same precision, measured in the same run. A convolution counts "
    "as a direct one, so an engine that transforms it can come above the peak."
)


@dataclass(frozen=True)
class Limit:
    """What the rows of a table that are networks are held against.

    Attributes:
        gigaflop: work of a call, by row.
        peak: GFLOP/s of the machine, by precision.
        precision: that of a row, where it is not FP32.
    """

    gigaflop: dict[str, float]
    peak: dict[str, float]
    precision: dict[str, str] = field(default_factory=dict)

    def rate(self, row: str, milliseconds: float) -> float:
        """GFLOP/s of a row."""
        return 1000 * self.gigaflop[row] / milliseconds

    def most(self, row: str) -> float:
        """GFLOP/s of the machine in a row's precision."""
        return self.peak[self.precision.get(row, PRECISIONS[0])]

    def share(self, row: str, milliseconds: float) -> str:
        return percent(self.rate(row, milliseconds) / self.most(row))


def columns(limit: Limit | None, milliseconds: Mapping[str, float]) -> Columns:
    """For a table of these rows; none where no limit was measured."""
    if limit is None:
        return {}
    known = {row: time for row, time in milliseconds.items() if row in limit.gigaflop}
    return {
        "GFLOP/s": {row: limit.rate(row, time) for row, time in known.items()},
        "peak": {row: limit.most(row) for row in known},
        "of the peak": {row: limit.share(row, time) for row, time in known.items()},
    }
