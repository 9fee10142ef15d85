"""Charts of the curves and of the comparison, as PNG."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from benchmarks.peers.names import RATE
from benchmarks.peers.table import CHART, counted
from benchmarks.report.growth import EACH, TITLES, all_series, block_medians, chart_name, memory_curve, time_curve
from benchmarks.report.linearity import Curve, fit, linear_places

Part = Mapping[str, Any]
SMALL = 0.03
"""Parts that nowhere have this share of the whole are drawn as one."""
SIZE = (13, 4)  # inches
DOTS = 100  # an inch


def draw(report: Mapping[str, Part], folder: Path) -> list[Path]:
    """Draws a chart of each curve of the report, and of the peers."""
    drawn = {chart_name(name): curve_figure(name, report[name]) for name in TITLES if name in report}
    if "peers" in report:
        drawn[CHART] = peers_figure(report["peers"])
    for name, figure in drawn.items():
        figure.savefig(folder / name, dpi=DOTS)
    return [folder / name for name in drawn]


def curve_figure(name: str, part: Part) -> Figure:
    """Time and memory with their fitted lines; between them the parts of the time, or throughput by clients."""
    figure = Figure(SIZE, layout="constrained")
    series = list(all_series(part))
    time, between, memory = figure.subplots(1, 3)
    for title, points in series:
        lined(time, time_curve(name, points), title)
        lined(memory, memory_curve(name, points), title)
        if name == "clients":
            between.plot([point["at"] for point in points], [block_medians(point)[-1] for point in points], "o-")
        elif len(series) == 1:
            stacked(between, time_curve(name, points))
        else:
            curve = time_curve(name, points)
            each = [median / at for median, at in zip(curve.medians(), curve.at, strict=True)]
            between.plot(curve.at, each, "o-", label=title)
    time.set_ylabel("ms, median and range")
    between.set_ylabel({"clients": "requests/s", "batch": "ms a sample"}.get(name, "ms, mean"))
    memory.set_ylabel("MiB above the idle server's")
    for axes in (time, between, memory):
        axes.set_xlabel(f"{EACH[name]}s")
        axes.set_ylim(bottom=0)
        if axes.get_legend_handles_labels()[1]:
            axes.legend(fontsize="small", loc="upper left")
    figure.suptitle(TITLES[name])
    return figure


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


def peers_figure(part: Part) -> Figure:
    """Throughput of each system by clients."""
    figure = Figure(SIZE, layout="constrained")
    for axes, (clients, systems) in zip(
        figure.subplots(1, len(part["clients"]), squeeze=False)[0], part["clients"].items(), strict=True
    ):
        axes.barh(list(systems), [row[RATE] for row in systems.values()])
        axes.invert_yaxis()
        axes.set_xlabel("requests/s")
        axes.set_title(counted(clients))
    return figure
