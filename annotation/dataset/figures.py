"""The figures of a data set's statistics, drawn by matplotlib."""

from collections.abc import Mapping
from io import BytesIO
from typing import Literal

from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from annotation.dataset.statistics import ALL, Statistics

FORMS: tuple[Literal["svg", "png"], ...] = ("svg", "png")
_SIZE = (6.4, 3.6)  # inches
_DPI = 150
_WIDTH = 0.8
_MOST_NUMBERS = 20  # that have place above or below the bars
_HEADROOM = 0.12  # for the number above the highest bar


def figures(found: Statistics) -> dict[str, Figure]:
    """By the stem of their file: expressions by sub-set, expressions a composite, and words an expression."""
    subsets = {name: each for name, each in found.subsets.items() if name != ALL}
    return {
        "subsets": _drawn(
            "Composites and expressions by sub-set",
            "",
            "",
            {
                "composites": {name: each.composites for name, each in subsets.items()},
                "expressions": {name: each.expressions for name, each in subsets.items()},
            },
        ),
        "expressions": _drawn("Expressions a composite", "expressions", "composites", {"": _every(found.expressions)}),
        "words": _drawn("Length of the expressions", "words", "expressions", {"": _every(found.words)}),
    }


def encoded(figure: Figure, form: Literal["svg", "png"]) -> bytes:
    """A figure as a file; the same numbers give the same bytes."""
    buffer = BytesIO()
    metadata = {"Date": None} if form == "svg" else {"Software": None}
    with rc_context({"svg.hashsalt": ""}):  # else names in the file are drawn by chance
        figure.savefig(buffer, format=form, dpi=_DPI, metadata=metadata)
    return buffer.getvalue()


def _drawn(title: str, across: str, up: str, series: Mapping[str, Mapping[str, int]]) -> Figure:
    """Bars, a group for each name and in it one of each series."""
    figure = Figure(_SIZE, layout="constrained")
    axes: Axes = figure.subplots()
    names = list(next(iter(series.values())))
    width = _WIDTH / len(series)
    for number, (label, heights) in enumerate(series.items()):
        offset = (number - (len(series) - 1) / 2) * width
        bars = axes.bar([place + offset for place in range(len(names))], list(heights.values()), width, label=label)
        if len(names) <= _MOST_NUMBERS:
            axes.bar_label(bars, fontsize="small", padding=2)
    every = -(-len(names) // _MOST_NUMBERS)
    axes.set_xticks(range(0, len(names), every), names[::every])
    axes.set_title(title)
    axes.set_xlabel(across)
    axes.set_ylabel(up)
    axes.margins(y=_HEADROOM)
    axes.spines[["top", "right"]].set_visible(False)
    if len(series) > 1:
        axes.legend(frameon=False)
    return figure


def _every(counted: Mapping[int, int]) -> dict[str, int]:
    """With the numbers between, which do not occur."""
    return {str(number): counted.get(number, 0) for number in range(min(counted), max(counted) + 1)}
