"""Diffusion with demo weights: a request, the loop's cost, concurrent requests, and cancellations."""

from contextlib import suppress
from dataclasses import dataclass

from benchmarks.floors import diffusion as bare_diffusion
from benchmarks.floors.loop import Loop, against_floor, asking, written
from benchmarks.floors.side_by_side import SideBySide, side_by_side
from benchmarks.subjects import diffusion, network
from concord.instruments.markdown import significant, times
from concord.instruments.memory import MIB, resident
from concord.instruments.stages import inferences, read_statistics
from concord.instruments.timing import settled
from concord.server.embedded import EmbeddedServer, Ports
from concord_client import Cancellation, Cancelled, Client, Progress

SIDE_BY_SIDE = 4
CANCEL_AFTER = 3  # steps
STILL = 1.0  # seconds without a finished step; at least three times the time of a step


@dataclass(frozen=True)
class Cancels:
    """Requests that are cancelled after one of their steps: the number of steps that finished nevertheless."""

    steps: int
    after_step: int
    unet_steps_after: list[int]


@dataclass(frozen=True)
class Numbers(Loop):
    """One client, concurrent clients, and cancellations, at the default resolution."""

    side_by_side: SideBySide
    cancel: Cancels
    server_mib: float


def measure(rounds: int = 10, cancels: int = 5) -> Numbers:
    with EmbeddedServer(ports=Ports(0, 0, 0)) as server, Client(server.grpc_url) as client:
        alone = one_request(server, client, rounds)
        asks = [asking(client, {"seed": seed}) for seed in range(SIDE_BY_SIDE)]
        together = side_by_side(server.grpc_url, asks, network("unet"), rounds)
        stopped = cancelled(server, client, cancels, max(STILL, 3 * alone.loop_step_ms / 1000))
        memory = resident(server.processes()) / MIB
        return Numbers(**vars(alone), side_by_side=together, cancel=stopped, server_mib=memory)


def one_request(server: EmbeddedServer, client: Client, rounds: int) -> Loop:
    size = int(diffusion().settings["RESOLUTION"].default or 0)
    floor = bare_diffusion.onnx_runtime(server.model_repositories[0], server.grpc_url, size)
    gigaflop = bare_diffusion.gigaflop(server.model_repositories[0], size)
    asking(client, {"steps": 1})()
    floor.harmonize(1)
    return against_floor(server, client, size, floor, gigaflop, rounds)


def cancelled(server: EmbeddedServer, client: Client, number: int, still: float) -> Cancels:
    """Requests of the largest number of steps, each cancelled when its client receives step `CANCEL_AFTER`.

    None is expected after `still` seconds without a finished step.
    """
    most = int(diffusion().settings["STEPS"].highest or 0)
    return Cancels(most, CANCEL_AFTER, [steps_after_cancel(server, client, most, still) for _ in range(number)])


def steps_after_cancel(server: EmbeddedServer, client: Client, steps: int, still: float) -> int:
    """Steps of the UNet that finish after the cancellation, including the one that was running."""
    cancellation = Cancellation()
    done = 0

    def on_step(progress: Progress) -> None:
        nonlocal done
        if progress.step == CANCEL_AFTER:
            # Read first: steps that finish during the reading count as after the cancellation.
            done = steps_so_far(server)
            cancellation.cancel()

    with suppress(Cancelled):
        asking(client, {"steps": steps}, on_step, cancellation)()
    return settled(lambda: steps_so_far(server), still) - done


def steps_so_far(server: EmbeddedServer) -> int:
    """Steps that the UNet has finished, of all requests together."""
    return inferences(read_statistics(server.grpc_url)[network("unet")])


def section(numbers: Numbers) -> str:
    together, cancel = numbers.side_by_side, numbers.cancel
    return (
        f"## Diffusion, demo weights, {numbers.steps} steps at {numbers.resolution} pixels, one client\n\n"
        f"{written(numbers)}\n\n"
        f"The server uses {significant(numbers.server_mib)} MiB.\n\n"
        f"### {together.requests} requests\n\n{times(together.milliseconds)}\n\n"
        f"At once they take {together.at_once_over_in_turn:.2f} of the time in turn; a run of the UNet has "
        f"{together.mean_unet_batch:.2f} steps on average. After a cancellation at step {cancel.after_step} of "
        f"{cancel.steps} the UNet runs at most {max(cancel.unet_steps_after)} more "
        f"({len(cancel.unet_steps_after)} cancellations)."
    )
