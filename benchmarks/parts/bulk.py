"""`concord bulk` on two nodes of Ray's on this machine: against a bare loop, and killed twice."""

from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from benchmarks.bulk.drill import Drill, drill
from benchmarks.bulk.nodes import nodes
from benchmarks.bulk.recorder import MODEL, write_recording
from benchmarks.bulk.throughput import SIDE, Throughput, throughput
from benchmarks.subjects import LIGHT
from concord.instruments.markdown import table
from concord.server.embedded import EmbeddedServer, Ports

SLEEP_SECONDS = 0.05
ROWS = ("waiting", "network", "killed")


@dataclass(frozen=True)
class Numbers:
    """With a model that sleeps, one request at a time; with a network; and a drill."""

    waiting: Throughput | None = None
    network: Throughput | None = None
    killed: Drill | None = None


def measure(wanted: tuple[str, ...] | list[str] = ROWS, rows: int = 1000, turns: int = 3) -> Numbers:
    waiting = network = killed = None
    with TemporaryDirectory() as folder:
        places = {name: Path(folder, name) for name in ROWS}
        for place in places.values():
            place.mkdir()
        if "waiting" in wanted or "network" in wanted:
            with nodes() as cluster:
                if "waiting" in wanted:
                    models, record = places["waiting"] / "models", places["waiting"] / "record"
                    write_recording(models, record, SLEEP_SECONDS)
                    with EmbeddedServer([models], ports=Ports(0, 0, 0)) as server:
                        waiting = throughput(cluster, server, MODEL, places["waiting"], rows, turns)
                if "network" in wanted:
                    with EmbeddedServer(ports=Ports(0, 0, 0), load={LIGHT}) as server:
                        network = throughput(cluster, server, LIGHT, places["network"], rows, turns)
        if "killed" in wanted:
            # It loses a node, so it has a cluster of its own.
            with nodes() as cluster:
                killed = drill(cluster, places["killed"], rows, SLEEP_SECONDS)
    return Numbers(waiting, network, killed)


def section(numbers: Numbers) -> str:
    parts = [
        "## Bulk\n\n`concord bulk` on two local nodes of Ray's, and one program of asyncio that only asks and writes "
        "files, in turns, with one Triton for both. A rate leaves out the first fifth of the pictures; seconds are of "
        "the whole, with Ray's start."
    ]
    if numbers.waiting is not None:
        parts.append(compared(f"A model that sleeps {SLEEP_SECONDS:g} s, one request at a time", numbers.waiting))
    if numbers.network is not None:
        parts.append(compared(f"`{LIGHT}`", numbers.network))
    if numbers.killed is not None:
        parts.append(drilled(numbers.killed))
    return "\n\n".join(parts)


def compared(what: str, ran: Throughput) -> str:
    rows = [
        [name, ", ".join(f"{each:.2f}" for each in rates), ran.wall_seconds[name]]
        for name, rates in ran.per_second.items()
    ]
    return (
        f"{what}, {ran.rows} pictures of {SIDE}x{SIDE} with masks:\n\n"
        + table(["way", "pictures/s, each turn", "seconds"], rows)
        + f"\n\nBulk has {ran.ratio:.3f} times the rate of the loop. All processes of the nodes and the program take "
        f"{ran.early_mib:.0f} MiB in the second quarter of a run and {ran.late_mib:.0f} MiB in the last."
    )


def drilled(killed: Drill) -> str:
    return (
        f"Killed twice, the program after {killed.kills[0]} of {killed.rows} pictures, then a node after "
        f"{killed.kills[1]}: {killed.lost} lost, {killed.twice} twice; {killed.again} requests that were under way "
        "were asked again."
    )
