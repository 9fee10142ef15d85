"""Text to harmonized image: the pipeline and its two networks alone."""

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field

import numpy as np

from benchmarks.floors import peak
from benchmarks.floors.limit import NOTE, Limit, columns
from benchmarks.subjects import LIGHT
from concord.instruments.markdown import significant, stages, times
from concord.instruments.memory import MIB, resident
from concord.instruments.stages import read_statistics, stage_milliseconds
from concord.instruments.timing import Calls, in_turns, percentiles
from concord.scenes.encoded import scene, scene_jpeg
from concord.server.embedded import EmbeddedServer
from concord_client import Client, Harmonize

WHOLE = "segment_harmonize"
"""What the report calls the pipeline, among its networks."""


@dataclass(frozen=True)
class TextGuided:
    """Percentiles of `WHOLE`, the bare networks and other calls; `over_bare` is `WHOLE` over the sum of the bare."""

    milliseconds: dict[str, dict[str, float]]
    over_bare: float
    stage_milliseconds: dict[str, float]
    server_mib: float
    limit: Limit | None = field(default=None, kw_only=True)


def against_floor(
    server: EmbeddedServer,
    client: Client,
    floor: Calls,
    gigaflop: Mapping[str, float],
    rounds: int,
    others: Calls | None = None,
    model: str = LIGHT,
) -> TextGuided:
    """The pipeline on a 512x512 JPEG, its networks alone, and other calls, alternating; `gigaflop` by call."""
    before = read_statistics(server.grpc_url)
    times = in_turns({WHOLE: asking(client, scene_jpeg(512, 512), model), **floor, **(others or {})}, rounds)
    bare = [sum(each) for each in zip(*(times[name] for name in floor), strict=True)]
    return TextGuided(
        {name: percentiles(values) for name, values in times.items()},
        float(np.median(times[WHOLE]) / np.median(bare)),
        stage_milliseconds(before, read_statistics(server.grpc_url)),
        resident(server.processes()) / MIB,
        limit=Limit(dict(gigaflop), peak.gigaflops()),
    )


def asking(client: Client, image: bytes, model: str = LIGHT, without: Collection[str] = ()) -> Callable[[], object]:
    """A call that harmonizes what the scene's expression names."""
    request = Harmonize(image, text=scene().expression)
    return lambda: client.run(request, model=model, without=without)


def written(measured: TextGuided) -> str:
    """The pipeline and its floor, for the report."""
    spent = measured.stage_milliseconds
    beside = columns(measured.limit, {name: row["p50"] for name, row in measured.milliseconds.items()})
    note = f"\n\n{NOTE}" if beside else ""
    return (
        f"{times(measured.milliseconds, beside)}{note}\n\nEnd to end takes {measured.over_bare:.3f} times the two bare "
        f"networks; the server uses {significant(measured.server_mib)} MiB.\n\n"
        f"{stages(spent, columns=columns(measured.limit, spent))}"
    )
