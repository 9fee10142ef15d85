"""How many requests of a harmonizer the facade should have answered at a time: many clients, limits in turns."""

from contextlib import ExitStack
from dataclasses import dataclass

import numpy as np

from benchmarks.load.facade import serving
from benchmarks.load.generator import generator
from benchmarks.parts.peers import Block, from_outside, in_blocks, summary
from benchmarks.subjects import LIGHT, text_guided
from concord.instruments.markdown import table
from concord.scenes.encoded import scene, scene_jpeg
from concord.server.choice import AUTO
from concord.server.embedded import EmbeddedServer, Ports

CLIENTS = 8
LIMITS = (1, 2, 3, 4, 8)


@dataclass(frozen=True)
class Numbers:
    """Throughput and times by limit, and the limit that the model declares."""

    model: str
    declared: int
    limits: dict[int, Block]


def measure(rounds: int = 5, seconds: float = 6.0) -> Numbers:
    form = {"image": scene_jpeg(512, 512), "text": scene().expression.encode(), "model": LIGHT.encode()}
    with ExitStack() as stack:
        asking = stack.enter_context(generator())
        server = stack.enter_context(EmbeddedServer(ports=Ports(0, 0, 0), model_config_name=AUTO))
        facades = {limit: stack.enter_context(serving(server, "--concurrency", f"{LIGHT}={limit}")) for limit in LIMITS}
        turns = [(CLIENTS, str(limit), from_outside(asking, facade.target(form))) for limit, facade in facades.items()]
        blocks = in_blocks(turns, rounds, seconds)[CLIENTS]
    systems = {int(limit): summary(each, seconds) for limit, each in blocks.items()}
    limits = {
        limit: Block(system.requests_per_second, system.p50, system.p90, system.p99)
        for limit, system in systems.items()
    }
    return Numbers(LIGHT, text_guided().concurrency, limits)


def section(numbers: Numbers) -> str:
    best = max(block.requests_per_second for block in numbers.limits.values())
    rows = [
        [limit, block.requests_per_second, block.p50, block.p99, float(np.round(block.requests_per_second / best, 3))]
        for limit, block in numbers.limits.items()
    ]
    return (
        f"## Requests at a time: `{numbers.model}`, {CLIENTS} clients\n\n"
        f"The facade sends {numbers.declared} at a time where no setting says otherwise.\n\n"
        + table(["at a time", "requests/s", "p50 ms", "p99 ms", "of the most"], rows)
    )
