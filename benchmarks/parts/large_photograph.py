"""Large JPEGs: time outside the networks, by stage beside a copy in memory, and memory above that of an idle server."""

from collections.abc import Sequence
from dataclasses import dataclass

from benchmarks.floors.peak import copy_gigabytes_per_second
from benchmarks.floors.text_guided import asking
from concord.instruments.markdown import significant, table
from concord.instruments.memory import MIB, Peak
from concord.instruments.stages import read_statistics, stages
from concord.instruments.timing import in_turns, percentiles
from concord.scenes.encoded import scene, scene_jpeg
from concord.server.choice import AUTO
from concord.server.embedded import EmbeddedServer, Ports
from concord.server.installation import MODEL_REPOSITORIES
from concord.variants import variants
from concord_client import Client, Harmonize

SIZES = ((4000, 3000), (6000, 4000))
BETWEEN = "between"
"""What is left of a request: the client, the server, and what they send each other."""


@dataclass(frozen=True)
class Photograph:
    """Of a request: milliseconds, of that outside the networks, by model, and memory above the idle server's.

    Attributes:
        computing: milliseconds of each model's own work, without queue and copies.
        touched: megabytes that a stage must at least read and write.
        more_mib: by process, when all together have most.
        kept_mib: above the idle server's after it.
    """

    width: int
    height: int
    milliseconds: float
    without_networks: float
    stages: dict[str, float]
    computing: dict[str, float]
    touched: dict[str, float]
    extra_mib: float
    more_mib: dict[str, float]
    kept_mib: float


@dataclass(frozen=True)
class Numbers:
    """GB/s of a copy in memory, read and written; and the photographs."""

    copy: float
    photographs: Sequence[Photograph]


def measure(rounds: int = 7) -> Numbers:
    copy = copy_gigabytes_per_second()
    found = []
    for width, height in SIZES:
        # A server each, because Triton keeps the shared memory that a request has taken.
        with (
            EmbeddedServer(ports=Ports(0, 0, 0), model_config_name=AUTO) as server,
            Client(server.grpc_url, timeout=120) as client,
        ):
            asking(client, scene_jpeg(512, 512))()
            found.append(photograph(server, client, width, height, rounds))
    return Numbers(copy, found)


def photograph(server: EmbeddedServer, client: Client, width: int, height: int, rounds: int) -> Photograph:
    image = scene_jpeg(height, width)
    ask = asking(client, image)
    with Peak(server.processes()) as peak:
        in_turns({"": ask}, 3)
        answer = client.run(Harmonize(image, text=scene().expression))
    kept = Peak(server.processes()).before - peak.before
    before = read_statistics(server.grpc_url)
    p50 = percentiles(in_turns({"": ask}, rounds, warm=0)[""])["p50"]
    spent = stages(before, read_statistics(server.grpc_url))
    networks = variants(MODEL_REPOSITORIES)
    outside = {name: stage for name, stage in spent.items() if name not in networks}
    without = p50 - sum(stage.milliseconds for name, stage in spent.items() if name in networks)
    took = {name: stage.milliseconds for name, stage in outside.items()}
    return Photograph(
        width,
        height,
        p50,
        without,
        took | {BETWEEN: without - sum(took.values())},
        {name: stage.compute_infer for name, stage in outside.items()},
        touched(width, height, len(image), len(answer.image)),
        (peak.bytes - peak.before) / MIB,
        {name: each / MIB for name, each in peak.more.items()},
        kept / MIB,
    )


def touched(width: int, height: int, jpeg: int, answer: int) -> dict[str, float]:
    """Megabytes by stage: of pixels, three bytes each, of a mask, of the JPEG and of the answer."""
    pixels, mask = 3 * width * height, width * height
    least = {
        "decode": jpeg + pixels + pixels,  # written, and read for the networks
        "cris_postprocess": mask,
        "edges": pixels + mask + mask,  # read; written, and read to encode it
        "compose": pixels + mask + answer,
        BETWEEN: jpeg + jpeg + answer + answer,
    }
    return {name: each / 1e6 for name, each in least.items()}


def section(numbers: Numbers) -> str:
    return "## Large photographs: JPEG, demo weights, profile auto\n\n" + "\n\n".join(
        _section(each, numbers.copy) for each in numbers.photographs
    )


def _section(seen: Photograph, copy: float) -> str:
    rows = [
        [
            f"`{name}`" if name != BETWEEN else "client and transport",
            took,
            seen.computing.get(name, ""),
            megabytes or "",
            megabytes / took if megabytes else "",
            megabytes / took / copy if megabytes else "",
        ]
        for name, took in sorted(seen.stages.items(), key=lambda item: -item[1])
        for megabytes in [seen.touched.get(name, 0.0)]
    ]
    header = ["stage", "ms", "of that its own work", "MB", "GB/s", f"of a copy's {significant(copy)} GB/s"]
    most = {name: each for name, each in seen.more_mib.items() if each >= 1}
    memory = [[f"`{name}`", float(each)] for name, each in sorted(most.items(), key=lambda item: -item[1])]
    return (
        f"{seen.width}x{seen.height}: {significant(seen.milliseconds)} ms, "
        f"**{significant(seen.without_networks)} ms** of that outside the networks, and at most "
        f"**{significant(seen.extra_mib)} MiB** more than the idle server, which keeps {significant(seen.kept_mib)}. "
        "MB are what a stage has to read and to write.\n\n"
        f"{table(header, rows)}\n\n"
        f"{table(['process', 'MiB more'], memory)}"
    )
