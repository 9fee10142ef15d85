"""Text to harmonized image with demo weights, one client, and the bare networks, alternating."""

from benchmarks.floors import work
from benchmarks.floors.networks import running
from benchmarks.floors.text_guided import TextGuided, against_floor, written
from benchmarks.subjects import text_guided_networks
from concord.instruments.networks import sample
from concord.instruments.timing import THREADS
from concord.server.embedded import EmbeddedServer, Ports
from concord.server.installation import MODEL_REPOSITORIES
from concord.variants import DEFAULT, variants
from concord_client import Client
from export.onnx_file import session

Numbers = TextGuided


def measure(rounds: int = 40) -> Numbers:
    defaults = {name: variants(MODEL_REPOSITORIES)[name][DEFAULT] for name in text_guided_networks()}
    files = {name: (variant.version / variant.file, sample(variant)) for name, variant in defaults.items()}
    floor = {name: running(session(path, THREADS), feeds) for name, (path, feeds) in files.items()}
    gigaflop = {name: work.gigaflop(path, feeds) for name, (path, feeds) in files.items()}
    with EmbeddedServer(ports=Ports(0, 0, 0)) as server, Client(server.grpc_url) as client:
        return against_floor(server, client, floor, gigaflop, rounds)


def section(numbers: Numbers) -> str:
    return f"## Demo weights, 512x512 JPEG, one client\n\n{written(numbers)}"
