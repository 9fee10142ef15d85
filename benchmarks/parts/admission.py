"""How many requests of a harmonizer the facade should have answered at a time: many clients, limits in turns."""

from contextlib import ExitStack
from dataclasses import dataclass

from benchmarks.load.facade import serving
from benchmarks.load.generator import generator
from benchmarks.parts.peers import System, from_outside, in_blocks, summary
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
    limits: dict[int, System]


def measure(rounds: int = 5, seconds: float = 6.0) -> Numbers:
    form = {"image": scene_jpeg(512, 512), "text": scene().expression.encode(), "model": LIGHT.encode()}
    with ExitStack() as stack:
        asking = stack.enter_context(generator())
        server = stack.enter_context(EmbeddedServer(ports=Ports(0, 0, 0), model_config_name=AUTO))
        facades = {limit: stack.enter_context(serving(server, "--concurrency", f"{LIGHT}={limit}")) for limit in LIMITS}
        turns = [(CLIENTS, str(limit), from_outside(asking, facade.target(form))) for limit, facade in facades.items()]
        blocks = in_blocks(turns, rounds, seconds)[CLIENTS]
    limits = {int(limit): summary(each, seconds) for limit, each in blocks.items()}
    return Numbers(LIGHT, text_guided().concurrency, limits)


def section(numbers: Numbers) -> str:
    most = max(system.requests_per_second for system in numbers.limits.values())
    rows = [
        [limit, system.requests_per_second, system.p50, system.p99, system.requests_per_second / most]
        for limit, system in numbers.limits.items()
    ]
    return (
        f"## Requests at a time: `{numbers.model}`, {CLIENTS} clients\n\n"
        f"The facade sends {numbers.declared} at a time where no setting says otherwise.\n\n"
        + table(["at a time", "requests/s", "p50 ms", "p99 ms", "of the most"], rows)
    )
