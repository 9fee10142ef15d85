"""A 4000x3000 JPEG: time of everything but the networks, and memory above the idle server's."""

from dataclasses import dataclass

from benchmarks.floors.text_guided import asking
from concord.instruments.markdown import significant, stages
from concord.instruments.memory import MIB, Peak
from concord.instruments.stages import read_statistics, stage_milliseconds
from concord.instruments.timing import in_turns, percentiles
from concord.scenes.encoded import scene_jpeg
from concord.server.embedded import EmbeddedServer, Ports
from concord.server.installation import MODEL_REPOSITORIES
from concord.variants import variants
from concord_client import Client


@dataclass(frozen=True)
class Numbers:
    """Milliseconds of a request, of everything outside its networks, and by model; and memory."""

    segment_harmonize_ms: float
    without_networks_ms: float
    stage_milliseconds: dict[str, float]
    extra_mib: float


def measure(rounds: int = 5) -> Numbers:
    with EmbeddedServer(ports=Ports(0, 0, 0)) as server, Client(server.grpc_url, timeout=120) as client:
        asking(client, scene_jpeg(512, 512))()
        ask = asking(client, scene_jpeg(3000, 4000))
        with Peak(server.processes()) as peak:
            before = read_statistics(server.grpc_url)
            times = in_turns({"": ask}, rounds, warm=0)
            spent = stage_milliseconds(before, read_statistics(server.grpc_url))
    p50 = percentiles(times[""])["p50"]
    networks = sum(spent.get(name, 0) for name in variants(MODEL_REPOSITORIES))
    return Numbers(p50, p50 - networks, spent, (peak.bytes - peak.before) / MIB)


def section(numbers: Numbers) -> str:
    return (
        "## A large photograph: 4000x3000 JPEG, demo weights\n\n"
        f"{significant(numbers.segment_harmonize_ms)} ms, {significant(numbers.without_networks_ms)} ms of that "
        f"outside the networks, and {significant(numbers.extra_mib)} MiB more than the idle server.\n\n"
        f"{stages(numbers.stage_milliseconds)}"
    )
