"""Several Concords behind HAProxy: what more of them answer, what the balancer costs, and what killing them costs."""

from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from benchmarks.balanced.haproxy import balancing
from benchmarks.balanced.kills import Killed, killed
from benchmarks.balanced.replicas import Replica, replicas
from benchmarks.load.application import Application
from benchmarks.load.facade import blocking
from benchmarks.load.generator import Generator, Target, closed_loop, generator, milliseconds
from benchmarks.load.patient import Patient
from benchmarks.load.result import answers
from concord.instruments.markdown import table, times
from concord.instruments.timing import in_turns, percentiles
from concord.scenes.encoded import scene_jpeg, scene_mask

COUNTS = (1, 2, 4)
CLIENTS = 8
SLEEP_SECONDS = 0.5
KILLED_SLEEP_SECONDS = 0.2
PATIENCE_SECONDS = 60.0
ROWS = ("scaled", "added", "killed")


@dataclass(frozen=True)
class Scaled:
    """Answers a second and times by the number of replicas; each request sleeps for so many seconds."""

    clients: int
    sleep: float
    per_second: dict[int, float]
    milliseconds: dict[int, dict[str, float]]


@dataclass(frozen=True)
class Added:
    """Times of a request that sleeps for no time, by where it is sent; and what the balancer adds."""

    milliseconds: dict[str, dict[str, float]]
    added_ms: dict[str, float]


@dataclass(frozen=True)
class Numbers:
    scaled: Scaled | None = None
    added: Added | None = None
    killed: Killed | None = None


def measure(
    rows: tuple[str, ...] | list[str] = ROWS,
    seconds: float = 30.0,
    rounds: int = 500,
    kill_seconds: float = 180.0,
    every: float = 30.0,
) -> Numbers:
    numbers: dict[str, Any] = {}
    with TemporaryDirectory() as folder, generator() as asking:
        if "scaled" in rows or "added" in rows:
            with replicas(Path(folder, "four"), [SLEEP_SECONDS] * max(COUNTS)) as pool:
                if "scaled" in rows:
                    numbers["scaled"] = scaled(asking, pool, seconds)
                if "added" in rows:
                    numbers["added"] = added(pool[0], rounds)
        if "killed" in rows:
            with (
                replicas(Path(folder, "two"), [KILLED_SLEEP_SECONDS] * 2) as pool,
                balancing([each.address for each in pool]) as balancer,
            ):
                asked = Patient(target(balancer), PATIENCE_SECONDS)
                numbers["killed"] = killed(asking, balancer, pool, asked, CLIENTS, every, kill_seconds, every)
    return Numbers(**numbers)


def target(application: Application) -> Target:
    """A 512x512 JPEG with a mask."""
    return application.form("/v1/harmonize", {"image": scene_jpeg(512, 512), "mask": scene_mask(512, 512)})


def scaled(asking: Generator, pool: list[Replica], seconds: float) -> Scaled:
    """The same clients before the first few replicas; a closed loop, after a warm-up of a tenth."""
    per_second, found = {}, {}
    for count in COUNTS:
        with balancing([each.address for each in pool[:count]]) as balancer:
            asking.run(closed_loop, target(balancer), CLIENTS, seconds / 10)
            replies = asking.run(closed_loop, target(balancer), CLIENTS, seconds)
        per_second[count] = answers(replies, 0, seconds, closed=True) / seconds
        found[count] = percentiles(milliseconds(replies, accepted=True))
    return Scaled(CLIENTS, SLEEP_SECONDS, per_second, found)


def added(replica: Replica, rounds: int) -> Added:
    """One client on connections that are kept, in turns."""
    replica.paced(0)
    facade = Application(replica.port, replica.process)
    with balancing([replica.address]) as balancer, blocking(facade) as direct, blocking(balancer) as through:
        request = target(balancer).request
        calls = {"facade": lambda: require_ok(direct(request)), "HAProxy": lambda: require_ok(through(request))}
        found = {name: percentiles(values) for name, values in in_turns(calls, rounds, warm=5).items()}
    replica.paced(SLEEP_SECONDS)
    return Added(found, {each: found["HAProxy"][each] - found["facade"][each] for each in ("p50", "p99")})


def require_ok(status: int) -> None:
    if status != 200:
        raise RuntimeError(f"answered with {status}")


def section(numbers: Numbers) -> str:
    parts = ["## Several Concords behind HAProxy"]
    if numbers.scaled is not None:
        parts.append(scaling(numbers.scaled))
    if numbers.added is not None:
        parts.append(
            "### What HAProxy adds\n\nA 512x512 JPEG with a mask to a model that answers at once, one client, in "
            f"turns:\n\n{times(numbers.added.milliseconds)}\n\nIt adds {numbers.added.added_ms['p50']:.2f} ms at p50 "
            f"and {numbers.added.added_ms['p99']:.2f} ms at p99."
        )
    if numbers.killed is not None:
        parts.append(kills(numbers.killed))
    return "\n\n".join(parts)


def scaling(numbers: Scaled) -> str:
    one = numbers.per_second[min(numbers.per_second)]
    rows = [
        [count, each, each / one, numbers.milliseconds[count]["p50"], numbers.milliseconds[count]["p99"]]
        for count, each in numbers.per_second.items()
    ]
    return (
        f"### More replicas\n\nA model that sleeps {numbers.sleep:g} s and takes one request at a time; "
        f"{numbers.clients} clients, all processes on this machine.\n\n"
        + table(["replicas", "requests/s", "times one", "p50 ms", "p99 ms"], rows)
    )


def kills(numbers: Killed) -> str:
    times_as_long = numbers.amid_ms["p99"] / numbers.calm_ms["p99"]
    statuses = ", ".join(f"{count} x {status}" for status, count in numbers.statuses.items())
    when = ", ".join(f"{each:.0f}" for each in numbers.kills)
    return (
        f"### Replicas that are killed\n\n{numbers.clients} clients for {numbers.seconds:g} s; of two replicas one is "
        f"killed with all its processes (SIGKILL) every {numbers.every:g} s, or as soon as both are up again, and "
        f"started again at once: at {when} s. Clients ask again when and where an answer says so. Answers: {statuses}; "
        f"lost without an answer: {numbers.lost}; asked again: {numbers.again}. p99 is {times_as_long:.2f} times as "
        f"long as without kills:\n\n" + times({"without kills": numbers.calm_ms, "with kills": numbers.amid_ms})
    )
