"""The growth of a cost as a section of the report: tables, charts, fitted lines and sentences."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from benchmarks.curves.linearity import Curve, describe, fit, linear_places
from benchmarks.curves.points import Points
from concord.instruments.markdown import table

SMALL = 0.03
"""Parts that nowhere have this share of the whole are drawn as one."""
SIZE = (13, 4)  # inches
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

    def head(self) -> str:
        """Title, words and chart."""
        memory = "Memory is the maximum above the idle server's."
        return f"## {self.title}\n\n{self.subtitle} {memory}\n\n![{self.title}]({self.chart})"

    def sentences(self, measured: Points) -> str:
        """What the lines through time and memory say."""
        return f"{describe(self.time(measured))} {describe(self.memory(measured))}"

    def charts(self, numbers: Numbers, between: Callable[[Axes], object] | None = None) -> dict[str, Figure]:
        """Time and memory with their fitted lines, and the parts of the time, or something else, between them."""
        figure = Figure(SIZE, layout="constrained")
        figure.suptitle(self.title)
        time, middle, memory = axes = figure.subplots(1, 3)
        everything = series(numbers)
        for name, measured in everything.items():
            curve = self.time(measured)
            lined(time, curve, name)
            lined(memory, self.memory(measured), name)
            if between:
                between(middle)
            elif len(everything) == 1:
                stacked(middle, curve)
            else:
                each = [median / at for median, at in zip(curve.medians(), curve.at, strict=True)]
                middle.plot(curve.at, each, "o-", label=name)
                middle.set_ylabel(f"ms a {self.each}")
        time.set_ylabel("ms, median and range")
        memory.set_ylabel("MiB above the idle server's")
        for drawn in axes:
            drawn.set_xlabel(f"{self.each}s")
            drawn.set_ylim(bottom=0)
            if drawn.get_legend_handles_labels()[1]:
                drawn.legend(fontsize="small", loc="upper left")
        return {self.chart: figure}

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


def lined(axes: Axes, curve: Curve, title: str) -> None:
    """Medians with their range, and the line through the points that lie on it."""
    at, medians = np.asarray(curve.at, float), np.asarray(curve.medians())
    low, high = ([end(samples) for samples in curve.samples] for end in (min, max))
    [[points, *_]] = [
        axes.errorbar(at, medians, [medians - low, high - medians], fmt="o", capsize=3, label=title or None)
    ]
    places = linear_places(curve)
    line = fit(curve.at[:places], curve.samples[:places])
    axes.plot(at, [line(x) for x in at], "--", linewidth=1, color=points.get_color())


def stacked(axes: Axes, curve: Curve) -> None:
    """The parts of the time, stacked."""
    shares = [curve.shares(position) for position in range(len(curve.at))]
    names = sorted({name for each in shares for name in each}, key=lambda name: -shares[-1].get(name, 0))
    large = [name for name in names if any(each.get(name, 0) >= SMALL * sum(each.values()) for each in shares)]
    heights = [[max(each.get(name, 0), 0) for each in shares] for name in large]
    rest = [sum(value for name, value in each.items() if name not in large) for each in shares]
    axes.stackplot(curve.at, *heights, rest, labels=[*large, "others"])
    axes.set_ylabel("ms, mean")
