"""The growth of a cost as a section of the report: tables, fitted lines and sentences."""

from collections.abc import Mapping
from dataclasses import dataclass

from matplotlib.figure import Figure

from benchmarks.curves import figure
from benchmarks.curves.linearity import Curve, describe
from benchmarks.curves.points import Points
from concord.instruments.markdown import table

Numbers = Points | Mapping[str, Points]
"""The one series of a part, or several by name."""


@dataclass(frozen=True)
class Growth:
    """A section about one axis: the name of the part that measured it, and a unit of it, such as "megapixel"."""

    name: str
    title: str
    subtitle: str
    each: str

    @property
    def chart(self) -> str:
        return f"cost_by_{self.name}.png"

    def section(self, numbers: Numbers) -> str:
        """A table and sentences for each series."""
        pieces = [self.head()]
        for name, measured in series(numbers).items():
            if name:
                pieces.append(f"### `{name}`")
            curve = self.time(measured)
            rows = [
                [f"{point.at:g}", median, median / point.at, point.extra_mib]
                for point, median in zip(measured.points, curve.medians(), strict=True)
            ]
            pieces += [table([f"{self.each}s", "ms", f"ms a {self.each}", "MiB more"], rows), self.sentences(measured)]
        return "\n\n".join(pieces)

    def sentences(self, measured: Points) -> str:
        """What the lines through time and memory say."""
        return f"{describe(self.time(measured))} {describe(self.memory(measured))}"

    def head(self) -> str:
        """Title, words and chart."""
        memory = "Memory is the maximum above the idle server's."
        return f"## {self.title}\n\n{self.subtitle} {memory}\n\n![{self.title}]({self.chart})"

    def charts(self, numbers: Numbers) -> dict[str, Figure]:
        """Time and memory with their fitted lines, and the parts of the time between them."""
        drawn, axes = figure.three(self.title, f"{self.each}s")
        time, between, memory = axes
        everything = series(numbers)
        for name, measured in everything.items():
            curve = self.time(measured)
            figure.lined(time, curve, name)
            figure.lined(memory, self.memory(measured), name)
            if len(everything) == 1:
                figure.stacked(between, curve)
            else:
                each = [median / at for median, at in zip(curve.medians(), curve.at, strict=True)]
                between.plot(curve.at, each, "o-", label=name)
                between.set_ylabel(f"ms a {self.each}")
        figure.finish(axes)
        return {self.chart: drawn}

    def time(self, measured: Points) -> Curve:
        points = measured.points
        at, samples = [point.at for point in points], [point.milliseconds for point in points]
        return Curve(self.each, "time", "ms", at, samples, [point.parts for point in points])

    def memory(self, measured: Points) -> Curve:
        at, samples = [point.at for point in measured.points], [[point.extra_mib] for point in measured.points]
        return Curve(self.each, "memory", "MiB", at, samples)


def series(numbers: Numbers) -> Mapping[str, Points]:
    """By name; the only one has none."""
    return {"": numbers} if isinstance(numbers, Points) else numbers
