"""Parts of the curves' charts."""

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from benchmarks.curves.linearity import Curve, fit, linear_places

SMALL = 0.03
"""Parts that nowhere have this share of the whole are drawn as one."""
SIZE = (13, 4)  # inches


def three(title: str, along: str) -> tuple[Figure, Sequence[Axes]]:
    """A figure with axes for time, for its parts, and for memory."""
    figure = Figure(SIZE, layout="constrained")
    figure.suptitle(title)
    axes = figure.subplots(1, 3)
    axes[0].set_ylabel("ms, median and range")
    axes[2].set_ylabel("MiB above the idle server's")
    for each in axes:
        each.set_xlabel(along)
    return figure, axes


def finish(axes: Sequence[Axes]) -> None:
    """Lets the axes start at 0, and adds legends to those with names."""
    for each in axes:
        each.set_ylim(bottom=0)
        if each.get_legend_handles_labels()[1]:
            each.legend(fontsize="small", loc="upper left")


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
