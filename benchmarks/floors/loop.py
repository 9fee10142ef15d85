"""A diffusion's request and its bare networks."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import numpy as np

from benchmarks.floors import peak
from benchmarks.floors.diffusion import Networks
from benchmarks.floors.limit import NOTE, Limit, columns
from benchmarks.subjects import DIFFUSION, ROLES, diffusion_steps, network
from concord.instruments.markdown import significant, stages, times
from concord.instruments.stages import read_statistics, stage_milliseconds
from concord.instruments.timing import Calls, StepTimes, in_turns, percentiles
from concord.scenes.encoded import scene_jpeg, scene_mask
from concord.server.embedded import EmbeddedServer
from concord_client import Cancellation, Client, Harmonize
from concord_client.settings import SettingValue
from concord_client.steps import OnStep


@dataclass(frozen=True)
class Loop:
    """Percentiles of the request, the bare networks and the other calls; `over_bare` is the request over the bare ones.

    `loop_step_ms` is of a step of the loop, `bare_unet_ms` of a bare call of the network that steps.
    """

    resolution: int
    steps: int
    milliseconds: dict[str, dict[str, float]]
    over_bare: float
    loop_step_ms: float
    bare_unet_ms: float
    stage_milliseconds: dict[str, float]
    limit: Limit | None = field(default=None, kw_only=True)


def against_floor(
    server: EmbeddedServer,
    client: Client,
    size: int,
    floor: Networks,
    gigaflop: Mapping[str, float],
    rounds: int,
    others: Calls | None = None,
) -> Loop:
    """Requests of the default steps, the bare networks and other calls, alternating; nothing is warmed up here.

    `gigaflop` is of a call of each network; the other calls run all three, as the bare ones do.
    """
    loop, bare = StepTimes(), StepTimes()
    steps = diffusion_steps()
    encoder, unet, decoder = (gigaflop[network(role)] for role in ROLES)
    whole = dict.fromkeys(("bare", *(others or {})), encoder + steps * unet + decoder)
    calls: Calls = {
        DIFFUSION: asking(client, {"resolution": size}, loop),
        "bare": lambda: floor.harmonize(steps, bare),
        **(others or {}),
    }
    before = read_statistics(server.grpc_url)
    spent = in_turns(calls, rounds, warm=0)
    milliseconds = {name: percentiles(values) for name, values in spent.items()}
    return Loop(
        resolution=size,
        steps=steps,
        milliseconds=milliseconds,
        over_bare=milliseconds[DIFFUSION]["p50"] / milliseconds["bare"]["p50"],
        loop_step_ms=float(np.median(loop.milliseconds)),
        bare_unet_ms=float(np.median(bare.milliseconds)),
        stage_milliseconds=stage_milliseconds(before, read_statistics(server.grpc_url)),
        limit=Limit({**gigaflop, **whole}, peak.gigaflops()),
    )


def asking(
    client: Client,
    settings: Mapping[str, SettingValue],
    on_step: OnStep | None = None,
    cancellation: Cancellation | None = None,
) -> Callable[[], object]:
    """A call that harmonizes the scene's changed object in a 512x512 JPEG, from the same noise each time."""
    request = Harmonize(scene_jpeg(512, 512), mask=scene_mask(512, 512))
    settings = {"seed": 0, **settings}
    return lambda: client.run(request, model=DIFFUSION, settings=settings, on_step=on_step, cancellation=cancellation)


def written(measured: Loop) -> str:
    """The loop and its floor, for the report."""
    step, bare, limit = measured.loop_step_ms, measured.bare_unet_ms, measured.limit
    spent, unet = measured.stage_milliseconds, network("unet")
    beside = columns(limit, {name: row["p50"] for name, row in measured.milliseconds.items()})
    note, share = (f"\n\n{NOTE}", f", {limit.share(unet, bare)} of the peak") if limit else ("", "")
    return (
        f"{times(measured.milliseconds, beside)}{note}\n\nEnd to end takes {measured.over_bare:.3f} times the bare "
        f"networks; a step {significant(step)} ms, {significant(step - bare)} ms more than the bare UNet's "
        f"{significant(bare)} ms{share}.\n\n{stages(spent, {unet: measured.steps}, columns(limit, spent))}"
    )
