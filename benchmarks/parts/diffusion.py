"""DiffHarmony with the weights of `model_repository`: a request, the loop's cost, concurrent requests, cancellation."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import Any

import numpy as np

from benchmarks.floors import diffusion as bare_diffusion
from benchmarks.floors.diffusion import Networks
from concord.instruments.memory import MIB, resident
from concord.instruments.stages import Statistics, mean_batch, read_statistics, stage_milliseconds, unet_steps
from concord.instruments.started_server import served_config
from concord.instruments.timing import Calls, StepTimes, in_turns, percentiles, settled
from concord.loops.request import DEFAULT_STEPS, Defaults
from concord.samplers import MAX_STEPS
from concord.scenes.encoded import scene_jpeg, scene_mask
from concord.server.embedded import EmbeddedServer, Ports
from concord.server.exported import unexported
from concord.server.installation import MODEL_REPOSITORIES
from concord_client import Cancellation, Cancelled, Client, Diffusion, Progress
from concord_client.diffusion import DIFFHARMONY, OnStep

SIDE_BY_SIDE = 4
CANCEL_AFTER = 3  # steps
STILL = 1.0  # seconds without a finished step; at least three times the time of a step


def diffusion_demo(rounds: int = 10, cancels: int = 5) -> dict[str, Any]:
    """One client, concurrent clients, and cancellations, at the default resolution.

    If the diffusion's networks have not been exported, there is only `left_out`, which says so.
    """
    models, ensembles = MODEL_REPOSITORIES
    missing = unexported(MODEL_REPOSITORIES)
    if DIFFHARMONY in missing:
        networks = ", ".join(sorted(name for name in missing if (models / name).is_dir()))
        return {"left_out": f"not exported: {networks}"}
    with EmbeddedServer((models, ensembles), ports=Ports(0, 0, 0)) as server, Client(server.grpc_url) as client:
        alone = one_request(server, client, rounds)
        together = side_by_side(server, client, rounds)
        stopped = cancelled(server, client, cancels, max(STILL, 3 * alone["loop_step_ms"] / 1000))
        return alone | {"side_by_side": together, "cancel": stopped, "server_mib": resident(server.processes()) / MIB}


def one_request(server: EmbeddedServer, client: Client, rounds: int) -> dict[str, Any]:
    """A request and the bare networks, alternating."""
    size = Defaults.from_config(served_config(server.grpc_url, DIFFHARMONY)).resolution
    floor = bare_diffusion.onnx_runtime(server.model_repositories[0], server.grpc_url, size)
    asking(client, Diffusion(seed=0, steps=1))()
    floor.harmonize(1)
    return against_floor(server, client, size, floor, {}, rounds)


def against_floor(
    server: EmbeddedServer, client: Client, size: int, floor: Networks, others: Calls, rounds: int
) -> dict[str, Any]:
    """Requests of `DEFAULT_STEPS` steps, the bare networks and the others, alternating; nothing is warmed up here.

    Percentiles, request over bare networks, milliseconds of a step of the loop and of a bare UNet call, and stages.
    """
    loop, bare = StepTimes(), StepTimes()
    diffusion = Diffusion(seed=0, steps=DEFAULT_STEPS, resolution=size)
    calls: Calls = {
        DIFFHARMONY: asking(client, diffusion, loop),
        "bare": lambda: floor.harmonize(DEFAULT_STEPS, bare),
        **others,
    }
    before = read_statistics(server.grpc_url)
    times = in_turns(calls, rounds, warm=0)
    stages = stage_milliseconds(before, read_statistics(server.grpc_url))
    milliseconds = {name: percentiles(values) for name, values in times.items()}
    return {
        "resolution": size,
        "steps": DEFAULT_STEPS,
        "milliseconds": milliseconds,
        "over_bare": milliseconds[DIFFHARMONY]["p50"] / milliseconds["bare"]["p50"],
        "loop_step_ms": float(np.median(loop.milliseconds)),
        "bare_unet_ms": float(np.median(bare.milliseconds)),
        "stage_milliseconds": stages,
    }


def asking(
    client: Client, diffusion: Diffusion, on_step: OnStep | None = None, cancellation: Cancellation | None = None
) -> Callable[[], object]:
    """A call that harmonizes the scene's changed object in a 512x512 JPEG."""
    image, mask = scene_jpeg(512, 512), scene_mask(512, 512)
    return lambda: client.harmonize(
        image, mask=mask, model="diffharmony", diffusion=diffusion, on_step=on_step, cancellation=cancellation
    )


def side_by_side(server: EmbeddedServer, client: Client, rounds: int) -> dict[str, Any]:
    """`SIDE_BY_SIDE` concurrent requests against as many in sequence: ratio of the times, and the UNet's mean batch."""
    asks = [asking(client, Diffusion(seed=seed, steps=DEFAULT_STEPS)) for seed in range(SIDE_BY_SIDE)]
    readings: list[tuple[Statistics, Statistics]] = []

    def in_turn() -> None:
        for ask in asks:
            ask()

    with ThreadPoolExecutor(SIDE_BY_SIDE) as threads:

        def at_once() -> None:
            before = read_statistics(server.grpc_url)
            for answer in [threads.submit(ask) for ask in asks]:
                answer.result()
            readings.append((before, read_statistics(server.grpc_url)))

        times = in_turns({"in turn": in_turn, "at once": at_once}, rounds)
    milliseconds = {name: percentiles(values) for name, values in times.items()}
    return {
        "requests": SIDE_BY_SIDE,
        "milliseconds": milliseconds,
        "at_once_over_in_turn": milliseconds["at once"]["p50"] / milliseconds["in turn"]["p50"],
        "mean_unet_batch": mean_batch(readings),
    }


def cancelled(server: EmbeddedServer, client: Client, times: int, still: float) -> dict[str, Any]:
    """Requests of `MAX_STEPS` steps, each cancelled when its client receives step `CANCEL_AFTER`.

    Args:
        times: number of requests, one after the other.
        still: seconds without a finished step after which none is expected.
    """
    after = [steps_after_cancel(server, client, still) for _ in range(times)]
    return {"steps": MAX_STEPS, "after_step": CANCEL_AFTER, "unet_steps_after": after}


def steps_after_cancel(server: EmbeddedServer, client: Client, still: float) -> int:
    """Steps of the UNet that finish after the cancellation, including the one that was running."""
    cancellation = Cancellation()
    done = 0

    def on_step(progress: Progress) -> None:
        nonlocal done
        if progress.step == CANCEL_AFTER:
            # Read first: steps that finish during the reading count as after the cancellation.
            done = unet_steps(read_statistics(server.grpc_url))
            cancellation.cancel()

    with suppress(Cancelled):
        asking(client, Diffusion(seed=0, steps=MAX_STEPS), on_step, cancellation)()
    return settled(lambda: unet_steps(read_statistics(server.grpc_url)), still) - done
