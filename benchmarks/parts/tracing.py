"""What tracing costs: throughput with spans of the facade and of Triton sent to a collector, and without."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from benchmarks.load.comparison import Comparison, Ratio, compare
from benchmarks.load.facade import Facade, serving
from benchmarks.load.generator import Generator, generator
from benchmarks.load.identity_model import write_instant
from benchmarks.load.recipe import Load
from concord.instruments.markdown import table
from concord.instruments.otlp_receiver import receiving
from concord.scenes.encoded import scene_jpeg, scene_mask
from concord.server.declared import catalogue
from concord.server.embedded import EmbeddedServer, Ports
from concord.server.installation import MODEL_REPOSITORIES
from concord.server.tracing import trace_options
from concord_client import Harmonize

CLIENTS = 2
ALLOWED = 0.02
"""Of the throughput with demo weights."""


@dataclass(frozen=True)
class Numbers:
    """With demo weights, and with a Triton that answers at once; the base of a ratio is without tracing.

    Attributes:
        spans: of a request, as the collector got them; of the demo weights.
    """

    demo: Comparison
    at_once: Comparison
    spans: float


def measure(pairs: int = 20, seconds: float = 200.0, warm_up: float = 5.0) -> Numbers:
    """512x512 JPEGs with a mask, from `CLIENTS` clients that are never idle, in turns.

    Args:
        pairs: of blocks with and without.
        seconds: of all blocks of one side together.
    """
    with generator() as asking, TemporaryDirectory() as folder:
        write_instant(Path(folder))
        demo, spans = _compared(asking, MODEL_REPOSITORIES, pairs, seconds, warm_up)
        at_once, _ = _compared(asking, (Path(folder),), pairs, seconds / 5, warm_up)
    return Numbers(demo, at_once, spans)


def _compared(
    asking: Generator, repositories: tuple[Path, ...], pairs: int, seconds: float, warm_up: float
) -> tuple[Comparison, float]:
    fields = {"image": scene_jpeg(512, 512), "mask": scene_mask(512, 512)}
    with ExitStack() as stack:
        receiver = stack.enter_context(receiving())
        plain = stack.enter_context(_facade(repositories, ""))
        traced = stack.enter_context(_facade(repositories, receiver.url))
        load = Load(f"{CLIENTS} clients", True, CLIENTS)
        sides = plain.target(fields), traced.target(fields)
        compared = compare(asking, load, *sides, pairs, seconds, warm_up)
    # When all of them have been sent.
    spans = receiver.spans
    return compared, len(spans) / len({each.trace_id for each in spans})


@contextmanager
def _facade(repositories: tuple[Path, ...], collector: str) -> Iterator[Facade]:
    options = trace_options(collector) if collector else []
    flags = ["--otlp-endpoint", collector] if collector else []
    # The first answers a request that names no model.
    load = catalogue(repositories).models(Harmonize.TASK)[:1]
    triton = EmbeddedServer(repositories, ports=Ports(0, 0, 0), load=load, options=options)
    with triton as server, serving(server, *flags) as facade:
        yield facade


def section(numbers: Numbers) -> str:
    rows = [
        [name, f"{ratio.ratio:.4f}", f"{ratio.low:.4f} to {ratio.high:.4f}", ratio.verdict]
        for name, ratio in _ratios(numbers).items()
    ]
    return (
        f"## Tracing\n\nThroughput of {CLIENTS} clients (512x512 JPEG, mask) with spans of the facade and of Triton "
        f"sent to a collector on the same machine, over that without, in turns; a request has {numbers.spans:.0f} "
        "spans:\n\n"
        f"{table(['', 'with / without', 'of 95 %', ''], rows)}\n\n"
        f"With demo weights at most {ALLOWED:.0%} are to be lost."
    )


def _ratios(numbers: Numbers) -> dict[str, Ratio]:
    return {"demo weights": numbers.demo.throughput, "a Triton that answers at once": numbers.at_once.throughput}
