"""Models that come and go under load: what those notice who ask for other models."""

import asyncio
import time
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import httpx

from benchmarks.drills.kills import mixed, pipelines
from benchmarks.drills.service import Service, serving
from benchmarks.load.generator import Generator, Outcome, Replies, Target, generator, milliseconds
from benchmarks.subjects import DIFFUSION, LIGHT
from concord.instruments.markdown import table
from concord.instruments.timing import percentiles
from concord.server.declared import catalogue
from concord.server.installation import MODEL_REPOSITORIES

VERBS = ("unload", "load", "reload")
BEFORE_SECONDS, SECONDS = 6.0, 30.0


@dataclass(frozen=True)
class Noticed:
    """One kind of change, made several times, and the requests of others before it and amid it.

    Attributes:
        seconds: that each took.
        failed: requests of others that were not answered well.
        before_ms, amid_ms: quantiles of how long those took that were.
    """

    model: str
    verb: str
    seconds: list[float]
    asked: int
    failed: int
    before_ms: dict[str, float]
    amid_ms: dict[str, float]


@dataclass(frozen=True)
class Numbers:
    """`clients` ask for each of the other models."""

    clients: int
    noticed: list[Noticed]


def measure(rounds: int = 4, clients: int = 2) -> Numbers:
    with (
        TemporaryDirectory() as folder,
        serving(Path(folder), flags=("--no-page", "--manage")) as service,
        generator() as asking,
    ):
        changed = (LIGHT, DIFFUSION)
        return Numbers(
            clients, [each for model in changed for each in noticed(service, asking, model, rounds, clients)]
        )


def noticed(service: Service, asking: Generator, model: str, rounds: int, clients: int) -> list[Noticed]:
    """Makes each change of a model in turn, while others ask."""
    others = [each for each in pipelines(catalogue(MODEL_REPOSITORIES)) if each.model != model]
    targets = {each.name: service.request(each) for each in others}
    seconds: defaultdict[str, list[float]] = defaultdict(list)
    before: defaultdict[str, Replies] = defaultdict(list)
    amid: defaultdict[str, Replies] = defaultdict(list)
    for verb in VERBS * rounds:
        change = Target.of(httpx.Request("POST", f"{service.url}/v1/models/{model}/{verb}"))
        replies, outcome, began, ended = asking.run(amid_load, targets, clients, change)
        if outcome.status != httpx.codes.OK:
            raise RuntimeError(f"{verb} {model}: {outcome.status} {outcome.words}")
        seconds[verb].append(ended - began)
        before[verb] += [each for each in replies if each.due + each.seconds < began]
        amid[verb] += [each for each in replies if each.due < ended and each.due + each.seconds > began]
    return [
        Noticed(
            model,
            verb,
            seconds[verb],
            len(amid[verb]),
            sum(not each.good for each in before[verb] + amid[verb]),
            percentiles(milliseconds(before[verb], accepted=True)),
            percentiles(milliseconds(amid[verb], accepted=True)),
        )
        for verb in VERBS
    ]


async def amid_load(
    targets: Mapping[str, Target], clients: int, change: Target
) -> tuple[Replies, Outcome, float, float]:
    """Asks for a while, and amid that for a change: all replies, the change's, and when it began and ended."""
    began = time.perf_counter()
    asking = asyncio.create_task(mixed(targets, clients, SECONDS))
    await asyncio.sleep(BEFORE_SECONDS)
    line = await change.open()
    asked = time.perf_counter()
    outcome = await line.ask()
    ended = time.perf_counter()
    await line.close()
    replies = [reply for each in (await asking).values() for reply in each]
    return replies, outcome, asked - began, ended - began


def section(numbers: Numbers) -> str:
    rows = [
        [
            f"{each.verb} `{each.model}`",
            f"{min(each.seconds):.1f} to {max(each.seconds):.1f}",
            each.asked,
            each.failed,
            *(times[quantile] for quantile in ("p50", "p99") for times in (each.before_ms, each.amid_ms)),
            each.amid_ms["p99"] / each.before_ms["p99"],
        ]
        for each in numbers.noticed
    ]
    header = ["change", "s", "asked", "failed", "p50 ms", "amid it", "p99 ms", "amid it", "times"]
    return (
        "## Models that come and go\n\n"
        f"Demo weights; {numbers.clients} clients of each other public model ask the least over HTTP. What they get "
        f"in the {BEFORE_SECONDS:g} s before a change, and while it is made:\n\n" + table(header, rows)
    )
