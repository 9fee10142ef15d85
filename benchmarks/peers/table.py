"""Sections of the report: Concord and what was measured beside it, and the comparison with other servers."""

from collections.abc import Iterator, Mapping
from typing import Any

from benchmarks.peers.names import BF16, FACADE, GRPC, ONNX_RUNTIME, OPENVINO, RATE
from concord.instruments.markdown import table

Part = Mapping[str, Any]
Row = tuple[str, str, float, float, str]
CHART = "peers.png"
PRECISIONS = {FACADE: "", BF16: " in BF16"}


def instead(report: Mapping[str, Part]) -> str:
    """A row for each thing that a user would run instead; empty if nothing was measured."""
    rows = [*over_servers(report), *over_networks(report)]
    if not rows:
        return ""
    header = ["instead of Concord", "measure", "that", "Concord", "factor (above 1: Concord is faster)"]
    return (
        "## Concord and what a user would run instead\n\n"
        "The facade is compared with the other servers, because they speak HTTP, too; the rest is over gRPC. 95 % "
        "intervals are in parentheses. The other servers run ONNX Runtime. Concord runs ONNX Runtime, and OpenVINO for "
        "BF16, from the same files.\n\n" + table(header, rows)
    )


def over_servers(report: Mapping[str, Part]) -> Iterator[Row]:
    if "peers" not in report:
        return
    part = report["peers"]
    for clients, systems in part["clients"].items():
        for name, everyone in part["over"][clients].items():
            place = f"demo weights{PRECISIONS[name]}, {counted(clients)}"
            for other, over in everyone.items():
                ours, theirs = systems[name], systems[other]
                yield other, f"{place}, requests/s", theirs[RATE], ours[RATE], interval(over[RATE])
                for key in ("p50", "p99"):
                    yield other, f"{place}, {key} ms", theirs[key], ours[key], interval(over[key])
    alone = part["clients"]["1"]
    for other in (ONNX_RUNTIME, OPENVINO):
        if other in alone:
            bare, ours = (alone[name]["p50"] for name in (other, GRPC))
            yield other, "demo weights, the whole pipeline, p50 ms", bare, ours, f"{bare / ours:.2f}"


def over_networks(report: Mapping[str, Part]) -> Iterator[Row]:
    if "published" in report:
        milliseconds = report["published"]["milliseconds"]
        ours = milliseconds["segment_harmonize"]["p50"]
        for other, names in (("PyTorch eager", ("cris eager", "dht eager")), ("ONNX Runtime, bare", ("cris", "dht"))):
            both = sum(milliseconds[name]["p50"] for name in names)
            yield other, "published sizes, both networks, p50 ms", both, ours, f"{both / ours:.2f}"
    if "diffusion_published" in report:
        milliseconds = report["diffusion_published"]["milliseconds"]
        ours = milliseconds["diffharmony"]["p50"]
        for other, name in (("diffusers, PyTorch eager", "eager"), ("ONNX Runtime, bare", "bare")):
            theirs = milliseconds[name]["p50"]
            what = f"DiffHarmony, {report['diffusion_published']['steps']} steps, p50 ms"
            yield other, f"published sizes, {what}", theirs, ours, f"{theirs / ours:.2f}"


def section(part: Part) -> str:
    """Throughput, times and memory of each system, by clients."""
    pieces = [
        "## Other servers with the same networks",
        f"{part['request']}, alternating blocks of {part['block_seconds']:g} s; medians of the blocks.",
        f"![Throughput of Concord and others]({CHART})",
    ]
    for clients, systems in part["clients"].items():
        rows = [
            [
                name,
                row[RATE],
                row["p50"],
                row["p99"],
                ", ".join(f"{status} x {count}" for status, count in row["statuses"].items()),
                part["memory_mib"].get(name, ""),
            ]
            for name, row in systems.items()
        ]
        pieces += [f"### {counted(clients)}", table(["", "requests/s", "p50 ms", "p99 ms", "answers", "MiB"], rows)]
    return "\n\n".join(pieces)


def interval(over: Part) -> str:
    return f"{over['ratio']:.2f} ({over['low']:.2f} to {over['high']:.2f})"


def counted(clients: str) -> str:
    return f"{clients} client{'' if clients == '1' else 's'}"
