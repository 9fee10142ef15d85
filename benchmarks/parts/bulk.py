"""`concord bulk` on two nodes of Ray's on this machine: against a bare loop, and killed twice."""

from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from benchmarks.bulk.drill import Drill, drill
from benchmarks.bulk.nodes import nodes
from benchmarks.bulk.throughput import MODEL, SIDE, Throughput, throughput
from concord.instruments.markdown import table

SLEEP_SECONDS = 0.05


@dataclass(frozen=True)
class Numbers:
    throughput: Throughput
    killed: Drill


def measure(rows: int = 1000, turns: int = 3) -> Numbers:
    with TemporaryDirectory() as folder:
        for name in ("throughput", "killed"):
            Path(folder, name).mkdir()
        # The drill loses a node, so each has a cluster of its own.
        with nodes() as cluster:
            measured = throughput(cluster, Path(folder, "throughput"), rows, turns)
        with nodes() as cluster:
            found = drill(cluster, Path(folder, "killed"), rows, SLEEP_SECONDS)
    return Numbers(measured, found)


def section(numbers: Numbers) -> str:
    ran, killed = numbers.throughput, numbers.killed
    rows = [
        [name, ", ".join(f"{each:.2f}" for each in rates), ran.wall_seconds[name]]
        for name, rates in ran.per_second.items()
    ]
    return (
        f"## Bulk\n\n{ran.rows} pictures of {SIDE}x{SIDE} with masks, `{MODEL}`, one Triton for both; `concord bulk` "
        "on two local nodes of Ray's, and one program of asyncio that only asks and writes files. A rate leaves out "
        "the first fifth of the pictures; seconds are of the whole, with Ray's start.\n\n"
        + table(["way", "pictures/s, each turn", "seconds"], rows)
        + f"\n\nBulk has {ran.ratio:.3f} times the rate of the loop: on one machine Ray brings nothing but the second "
        f"node. All processes of the nodes take {ran.early_mib:.0f} MiB in the second quarter of a run and "
        f"{ran.late_mib:.0f} MiB in the last.\n\nKilled twice (the program after {killed.kills[0]} of {killed.rows} "
        f"pictures, then a node after {killed.kills[1]}): {killed.lost} lost, {killed.twice} twice; {killed.again} "
        "requests that were under way were asked again."
    )
