"""Text to harmonized image: the pipeline and its two networks alone."""

from collections.abc import Callable, Collection
from dataclasses import dataclass

import numpy as np

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


def against_floor(
    server: EmbeddedServer, client: Client, floor: Calls, rounds: int, others: Calls | None = None, model: str = LIGHT
) -> TextGuided:
    """The pipeline on a 512x512 JPEG, its networks alone, and other calls, alternating."""
    before = read_statistics(server.grpc_url)
    times = in_turns({WHOLE: asking(client, scene_jpeg(512, 512), model), **floor, **(others or {})}, rounds)
    bare = [sum(each) for each in zip(*(times[name] for name in floor), strict=True)]
    return TextGuided(
        {name: percentiles(values) for name, values in times.items()},
        float(np.median(times[WHOLE]) / np.median(bare)),
        stage_milliseconds(before, read_statistics(server.grpc_url)),
        resident(server.processes()) / MIB,
    )


def asking(client: Client, image: bytes, model: str = LIGHT, without: Collection[str] = ()) -> Callable[[], object]:
    """A call that harmonizes what the scene's expression names."""
    request = Harmonize(image, text=scene().expression)
    return lambda: client.run(request, model=model, without=without)


def written(measured: TextGuided) -> str:
    """The pipeline and its floor, for the report."""
    return (
        f"{times(measured.milliseconds)}\n\nEnd to end takes {measured.over_bare:.3f} times the two bare networks; "
        f"the server uses {significant(measured.server_mib)} MiB.\n\n{stages(measured.stage_milliseconds)}"
    )
