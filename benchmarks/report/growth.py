"""Sections of the report about growth: tables, fitted lines and sentences."""

from collections.abc import Iterator, Mapping
from statistics import median
from typing import Any

from benchmarks.peers.names import RATE
from benchmarks.report.linearity import Curve, describe, full
from concord.instruments.markdown import significant, table

Part = Mapping[str, Any]
TITLES = {
    "image_size": "Cost by image size",
    "batch": "Cost by batch",
    "clients": "Cost by clients",
    "steps": "Cost by diffusion steps",
}
EACH = {"image_size": "megapixel", "batch": "sample", "clients": "client", "steps": "step"}
SUBTITLES = {
    "image_size": "Demo weights, text to harmonized photograph, JPEGs of 4:3, one client.",
    "batch": "Demo weights, one request with all samples to the network itself.",
    "clients": "Demo weights, text to harmonized 512x512 JPEG, each client with one request at a time.",
    "steps": "Demo weights, DiffHarmony with a mask, 512x512 JPEG, one client.",
}
MEMORY = "Memory is the maximum above the idle server's."


def chart_name(name: str) -> str:
    """File name of a curve's chart."""
    return f"cost_by_{name}.png"


def section(name: str, part: Part) -> str:
    """Title, chart, and a table and sentences for each series."""
    pieces = [f"## {TITLES[name]}", f"{SUBTITLES[name]} {MEMORY}", f"![{TITLES[name]}]({chart_name(name)})"]
    for series, points in all_series(part):
        if series:
            pieces.append(f"### `{series}`")
        pieces += [rows(name, points), sentences(name, points)]
    return "\n\n".join(pieces)


def all_series(part: Part) -> Iterator[tuple[str, list[Part]]]:
    """Points by the name of their series; a part with one series has no name."""
    if "points" in part:
        yield "", part["points"]
    else:
        for series, inner in part.items():
            yield series, inner["points"]


def rows(name: str, points: list[Part]) -> str:
    each = EACH[name]
    curve = time_curve(name, points)
    header = [f"{each}s", "ms", f"ms a {each}"]
    lines = [
        [f"{point['at']:g}", median, median / point["at"]]
        for point, median in zip(points, curve.medians(), strict=True)
    ]
    if name == "clients":
        header = [f"{each}s", "ms (p50)", "ms (p99)", "requests/s"]
        lines = [[f"{point['at']:g}", *map(float, block_medians(point))] for point in points]
    return table(
        [*header, "MiB more"], [[*line, float(point["extra_mib"])] for line, point in zip(lines, points, strict=True)]
    )


def sentences(name: str, points: list[Part]) -> str:
    text = [describe(time_curve(name, points)), describe(memory_curve(name, points))]
    if name == "clients":
        at, rates = [point["at"] for point in points], [block_medians(point)[-1] for point in points]
        enough = full(at, rates)
        text.append(
            f"{enough} {'client fills' if enough == 1 else 'clients fill'} the server: {significant(max(rates))} "
            f"requests a second are the most, one client gets {significant(rates[0])}."
        )
    return " ".join(text)


def time_curve(name: str, points: list[Part]) -> Curve:
    at, samples = [point["at"] for point in points], [point["milliseconds"] for point in points]
    return Curve(EACH[name], "time", "ms", at, samples, [point["parts"] for point in points])


def memory_curve(name: str, points: list[Part]) -> Curve:
    at, samples = [point["at"] for point in points], [[point["extra_mib"]] for point in points]
    return Curve(EACH[name], "memory", "MiB", at, samples)


def block_medians(point: Part) -> tuple[float, float, float]:
    """p50, p99 and requests per second: the medians of the blocks'."""
    p50, p99, rate = (median([block[key] for block in point["blocks"]]) for key in ("p50", "p99", RATE))
    return p50, p99, rate
