"""What one machine answers by model and profile, and how many of its like a rate needs; see `benchmarks.scaling`."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from benchmarks.load.facade import Facade, serving
from benchmarks.load.generator import (
    Generator,
    Status,
    Target,
    arrivals,
    closed_loop,
    generator,
    milliseconds,
    open_loop,
    statuses,
)
from benchmarks.queueing.replicas import REQUESTS, needed
from benchmarks.queueing.simulation import Service, simulate
from benchmarks.subjects import DIFFUSION, END_TO_END, LIGHT
from concord.instruments.markdown import percent, table
from concord.instruments.timing import percentiles
from concord.scenes.encoded import scene, scene_jpeg, scene_mask
from concord.server.choice import AUTO
from concord.server.embedded import EmbeddedServer, Ports
from concord.variants import DEFAULT
from concord_client import Client, Harmonize

MODELS = {LIGHT: "text", END_TO_END: "text", DIFFUSION: "mask"}
"""With what each is asked."""
PROFILES = (DEFAULT, AUTO)
ROWS = tuple(f"{model}/{profile}" for profile in PROFILES for model in MODELS)
LOAD = 0.7
"""Of what the machine answers at most, the part that is asked to compare the simulation with what happens."""
PER_HOUR = (1_000, 10_000, 100_000)
PATIENCE = (2, 5)
"""How many times as long as alone 1 in 100 may take, or longer."""
SEED = 1
SAMPLES = 101
"""Quantiles that are kept of the times, evenly from the shortest to the longest."""


@dataclass(frozen=True)
class Check:
    """An open loop at so many requests a second, and the same arrivals simulated; milliseconds."""

    per_second: float
    seconds: float
    statuses: dict[Status, int]
    measured: dict[str, float]
    simulated: dict[str, float]


@dataclass(frozen=True)
class Needed:
    """Replicas for so many pictures an hour, 99 of 100 of them within so many seconds; None where none are enough."""

    per_hour: int
    patience: int
    seconds: float
    replicas: int | None


@dataclass(frozen=True)
class Subject:
    """A model in a profile.

    Attributes:
        row: one of `ROWS`.
        form: the profile that the networks have by it.
        times: seconds by how many requests run at a time, to as many as the facade sends.
        queue: requests that may wait.
    """

    row: str
    form: str
    times: dict[int, list[float]]
    queue: int
    check: Check
    needed: list[Needed]

    @property
    def service(self) -> Service:
        return Service(self.times, self.queue)


@dataclass(frozen=True)
class Numbers:
    subjects: list[Subject]


def measure(rows: Sequence[str] = ROWS, seconds: float = 30.0, load_seconds: float = 180.0) -> Numbers:
    """Each row for so many seconds at each number of requests at a time, then under load.

    Raises:
        RuntimeError: a request was not answered although there was room for it.
    """
    subjects = []
    with generator() as asking:
        for profile in PROFILES:
            chosen = [model for model in MODELS if f"{model}/{profile}" in rows]
            if not chosen:
                continue
            with EmbeddedServer(ports=Ports(0, 0, 0), model_config_name=profile) as server, serving(server) as facade:
                with Client(server.grpc_url) as client:
                    catalogue = client.catalogue()
                for model in chosen:
                    form = catalogue.profile_of(model)
                    subjects.append(subject(asking, facade, model, profile, form, seconds, load_seconds))
    return Numbers(subjects)


def subject(
    asking: Generator, facade: Facade, model: str, profile: str, form: str, seconds: float, load_seconds: float
) -> Subject:
    asked = target(facade, model)
    places, queue = limits(facade, model)
    times = {clients: taken(asking, asked, clients, seconds) for clients in range(1, places + 1)}
    service = Service(times, queue)
    check = checked(asking, asked, service, load_seconds)
    return Subject(f"{model}/{profile}", form, times, queue, check, list(planned(service)))


def limits(facade: Facade, model: str) -> tuple[int, int]:
    """How many requests to a model are answered at a time, and how many may wait."""
    everyone = facade.get("/v1/models").json()["data"]
    [found] = [each["limits"] for each in everyone if (each["name"], each["task"]) == (model, Harmonize.TASK)]
    return found["concurrency"], found["queue"]


def target(facade: Facade, model: str) -> Target:
    """A 512x512 JPEG with what the model is asked with, and its default settings."""
    given = {"text": scene().expression.encode(), "mask": scene_mask(512, 512)}
    name = MODELS[model]
    return facade.target({"image": scene_jpeg(512, 512), name: given[name], "model": model.encode()})


def taken(asking: Generator, asked: Target, clients: int, seconds: float) -> list[float]:
    """Quantiles of the seconds that requests take where so many clients ask one after the other."""
    asking.run(closed_loop, asked, clients, seconds / 10)
    replies = asking.run(closed_loop, asked, clients, seconds)
    if refused := [reply for reply in replies if not reply.good]:
        raise RuntimeError(f"answered with {refused[0].status}: {refused[0].words}")
    evenly = np.quantile(milliseconds(replies, accepted=True), np.linspace(0, 1, SAMPLES))
    return [round(float(each) / 1000, 6) for each in evenly]


def checked(asking: Generator, asked: Target, service: Service, seconds: float) -> Check:
    """The same requests at the same times, to the machine and to its simulation."""
    rate = LOAD * service.per_second
    replies = asking.run(open_loop, asked, rate, seconds, SEED)
    simulated = simulate(service, arrivals(rate, seconds, SEED), seed=SEED)
    return Check(
        per_second=rate,
        seconds=seconds,
        statuses=statuses(replies),
        measured=percentiles(milliseconds(replies, accepted=True)),
        simulated=percentiles((simulated[np.isfinite(simulated)] * 1000).tolist()),
    )


def planned(service: Service, requests: int = REQUESTS) -> Iterator[Needed]:
    """Replicas by rate, and by how much longer than alone requests may take."""
    alone = float(np.median(service.times[1]))
    for per_hour in PER_HOUR:
        for patience in PATIENCE:
            found = needed(service, per_hour / 3600, patience * alone, requests)
            yield Needed(per_hour, patience, patience * alone, found)


def section(numbers: Numbers) -> str:
    rows = [
        [
            f"`{subject.row}`",
            subject.check.per_second,
            ", ".join(f"{count} x {status}" for status, count in subject.check.statuses.items()),
            *(
                each[quantile]
                for quantile in ("p50", "p99")
                for each in (subject.check.measured, subject.check.simulated)
            ),
            off(subject.check),
        ]
        for subject in numbers.subjects
    ]
    header = ["model/profile", "requests/s", "answers", "p50 ms", "simulated", "p99 ms", "simulated", "p99 off by"]
    return (
        f"## Load and its simulation: {percent(LOAD)} of the most\n\n"
        "512x512 JPEG through the facade. Requests come at random; the simulation has them come at the same times, and "
        "the times that requests take from closed loops of as many clients as requests run at a time. "
        "[How many machines a rate needs](../scaling.md) follows from it.\n\n" + table(header, rows)
    )


def off(check: Check) -> str:
    """How far the simulated p99 is from the measured one."""
    return f"{100 * (check.simulated['p99'] / check.measured['p99'] - 1):+.0f} %"
