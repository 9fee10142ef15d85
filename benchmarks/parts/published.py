"""Text to harmonized image at published sizes (CRIS R50, DHT+), ONNX Runtime and PyTorch eager, alternating."""

from collections.abc import Iterator

from benchmarks.floors import networks as bare
from benchmarks.floors import published, work
from benchmarks.floors.networks import running, sample
from benchmarks.floors.text_guided import WHOLE, TextGuided, against_floor, written
from benchmarks.parts import Row
from benchmarks.subjects import HEAVY, text_guided_networks
from concord.instruments.markdown import significant
from concord.instruments.timing import THREADS
from concord_client import Client
from export.onnx_file import session
from export.publication import exported

EAGER = " eager"
"""Behind a network's name, its row in PyTorch."""
Numbers = TextGuided


def measure(rounds: int = 7) -> Numbers:
    names = text_guided_networks(HEAVY)
    served = [(model, network) for model, network in published.networks() if model.name in names]
    folder = published.text_guided()
    floor = {model.name: running(session(exported(folder, model.name), THREADS), sample(model)) for model, _ in served}
    eager = {model.name + EAGER: bare.eager(network, model, THREADS) for model, network in served}
    done = {model.name: work.gigaflop(exported(folder, model.name), sample(model)) for model, _ in served}
    gigaflop = done | {name + EAGER: each for name, each in done.items()}
    with published.serving(folder, only=names) as server, Client(server.grpc_url, timeout=300) as client:
        return against_floor(server, client, floor, gigaflop, rounds, eager, HEAVY)


def section(numbers: Numbers) -> str:
    eager = " and ".join(
        f"{significant(eager / network)} times as long for `{name}`" for name, network, eager in networks(numbers)
    )
    return (
        "## Published sizes (CRIS R50, DHT+), random weights, 512x512 JPEG, one client\n\n"
        f"{written(numbers)}\n\nPyTorch eager takes {eager} as ONNX Runtime in the same process."
    )


def instead(numbers: Numbers) -> Iterator[Row]:
    ours = numbers.milliseconds[WHOLE]["p50"]
    _, bare, eager = zip(*networks(numbers), strict=True)
    for other, both in (("PyTorch eager", sum(eager)), ("ONNX Runtime, bare", sum(bare))):
        yield Row(other, "published sizes, both networks, p50 ms", both, ours, both / ours)


def networks(numbers: Numbers) -> list[tuple[str, float, float]]:
    """Name, and p50 in ONNX Runtime and in PyTorch, of each network."""
    p50 = {name: row["p50"] for name, row in numbers.milliseconds.items()}
    return [(name, p50[name], p50[name + EAGER]) for name in p50 if name + EAGER in p50]
