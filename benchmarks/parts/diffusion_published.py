"""Diffusion at published sizes: a request, ONNX Runtime and diffusers, alternating; and the whole server's memory."""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial

from benchmarks.floors import diffusion as bare_diffusion
from benchmarks.floors import published
from benchmarks.floors.loop import Loop, against_floor, asking, written
from benchmarks.floors.published import SIZE, pipeline, serving
from benchmarks.parts import Row
from benchmarks.subjects import DIFFUSION, companions, diffusion_networks, diffusion_steps, network
from concord.instruments.markdown import gigabytes, table
from concord.instruments.memory import MIB, Peak, instances, resident
from concord.instruments.timing import THREADS
from concord_client import Client
from concord_client.settings import SettingValue


@dataclass(frozen=True)
class Memory:
    """MiB of a server with every model of the repository, all networks at published size."""

    server_mib: float
    server_without_companions_mib: float
    peak_mib: float
    model_mib: dict[str, float]
    unet_instances: int


@dataclass(frozen=True)
class Numbers(Loop):
    """p50s of the default steps, and memory."""

    memory: Memory
    eager_over_ours: float


def measure(rounds: int = 3) -> Numbers:
    taken = memory()
    loop = latency(rounds)
    times = loop.milliseconds
    return Numbers(**vars(loop), memory=taken, eager_over_ours=times["eager"]["p50"] / times[DIFFUSION]["p50"])


def latency(rounds: int) -> Loop:
    """Before it counts, all three run once with one step.

    The companions are not served meanwhile: with all bare and torch networks they would need more memory than machines
    have on which the rest fits.
    """
    folder = published.diffusion()
    gigaflop = bare_diffusion.gigaflop(folder, SIZE)
    with serving(folder, only=diffusion_networks()) as server, Client(server.grpc_url) as client:
        asking(client, {"steps": 1, "resolution": SIZE})()
        floor = bare_diffusion.onnx_runtime(folder, server.grpc_url, SIZE)
        eager = bare_diffusion.eager(pipeline(), SIZE, THREADS)
        for networks in (floor, eager):
            networks.harmonize(1)
        return against_floor(
            server, client, SIZE, floor, gigaflop, rounds, {"eager": partial(eager.harmonize, diffusion_steps())}
        )


def memory() -> Memory:
    """Memory after a full request that uses the companions, too.

    No other process maps the weights at that time, so they count in full.
    """
    settings: dict[str, SettingValue] = {"resolution": SIZE, "decoder": "harmony", "refine": True}
    with serving(published.diffusion(), published.text_guided()) as server, Client(server.grpc_url) as client:
        with Peak(server.processes()) as peak:
            asking(client, settings)()
        stubs = instances(server.processes())
        total = resident(server.processes()) / MIB
        by_model = {name: resident(processes) / MIB for name, processes in sorted(stubs.items())}
    without = total - sum(by_model[name] for name in companions())
    return Memory(total, without, peak.bytes / MIB, by_model, len(stubs[network("unet")]))


def section(numbers: Numbers) -> str:
    memory = numbers.memory
    largest = sorted(memory.model_mib.items(), key=lambda item: -item[1])
    return (
        f"## Diffusion, published sizes, {numbers.steps} steps at {numbers.resolution} pixels, one client\n\n"
        f"{written(numbers)}\n\ndiffusers' modules in eager mode take {numbers.eager_over_ours:.2f} times as long.\n\n"
        f"The server uses {gigabytes(memory.server_mib)} after a request and {gigabytes(memory.peak_mib)} during "
        f"it, {gigabytes(memory.server_without_companions_mib)} without Harmony-VAE and refinement; instances of "
        f"the UNet: {memory.unet_instances}.\n\n"
        + table(["model", "MiB"], [[f"`{name}`", value] for name, value in largest])
    )


def instead(numbers: Numbers) -> Iterator[Row]:
    p50 = {name: row["p50"] for name, row in numbers.milliseconds.items()}
    what = f"published sizes, DiffHarmony, {numbers.steps} steps, p50 ms"
    for other, name in (("diffusers, PyTorch eager", "eager"), ("ONNX Runtime, bare", "bare")):
        yield Row(other, what, p50[name], p50[DIFFUSION], p50[name] / p50[DIFFUSION])
