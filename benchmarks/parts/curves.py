"""How costs grow: time, its parts and memory by image size, batch, number of clients and diffusion steps."""

import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import psutil
import torch
import tritonclient.grpc as triton  # type: ignore[import-untyped]
from google.protobuf import text_format  # type: ignore[import-untyped]
from numpy.typing import NDArray
from tritonclient.grpc import model_config_pb2

from benchmarks.floors import diffusion as bare_diffusion
from benchmarks.load.generator import Generator, closed_loop, generator, milliseconds
from benchmarks.load.measure import settled_statistics
from benchmarks.load.result import answers
from benchmarks.parts.diffusion import asking
from benchmarks.peers.comparison import question
from benchmarks.peers.names import RATE
from benchmarks.report.linearity import WAITING
from concord.instruments.memory import MIB, Peak, instances, resident
from concord.instruments.networks import request_tensors
from concord.instruments.stages import UNET, Statistics, read_statistics, stages
from concord.instruments.timing import percentiles
from concord.scenes.encoded import scene, scene_jpeg
from concord.server.embedded import EmbeddedServer, Ports
from concord.server.installation import MODEL_REPOSITORIES
from concord_client import Client, Diffusion
from export.networks import cris, ht

MEGAPIXELS = (0.25, 1, 2, 4, 8, 12, 24)
BATCHES = (1, 2, 4, 8)
CLIENTS = (1, 2, 4, 8, 16, 32)
STEPS = (1, 2, 5, 10, 20, 50)
UNET_SIZE = 256  # pixels of the square whose latents are the UNet's input

Points = list[dict[str, Any]]
"""Ascending. Of each `at`, `milliseconds` of each call, mean milliseconds of its `parts`, and `extra_mib`, the most
memory that was taken above what it was before the first call at all."""


def image_size(rounds: int = 5) -> dict[str, Any]:
    """Text to harmonized photograph on demo weights, JPEGs of 4:3, one client."""
    with EmbeddedServer(ports=Ports(0, 0, 0)) as server, Client(server.grpc_url, timeout=300) as client:
        return {"points": by_image_size(server, client, MEGAPIXELS, rounds)}


def steps(rounds: int = 5) -> dict[str, Any]:
    """DiffHarmony on demo weights with a mask, a 512x512 JPEG, one client."""
    with EmbeddedServer(ports=Ports(0, 0, 0)) as server, Client(server.grpc_url) as client:
        calls = {each: asking(client, Diffusion(seed=0, steps=each)) for each in STEPS}
        return {"points": points(server.grpc_url, server.processes(), calls, rounds)}


def clients(rounds: int = 3, seconds: float = 6) -> dict[str, Any]:
    """Text to harmonized photograph on demo weights, a 512x512 JPEG, each client with one request at a time."""
    with EmbeddedServer(ports=Ports(0, 0, 0)) as server, generator() as asking:
        return {"points": by_clients(server, asking, CLIENTS, rounds, seconds)}


def batch(rounds: int = 9) -> dict[str, Any]:
    """The networks on demo weights, with several samples per request."""
    inputs = batch_inputs(max(BATCHES))
    with batching(list(inputs), max(BATCHES)) as server, triton.InferenceServerClient(server.grpc_url) as client:
        stubs = instances(server.processes())
        result = {}
        for name, tensors in inputs.items():
            calls = {
                each: infer(client, name, {key: value[:each] for key, value in tensors.items()}) for each in BATCHES
            }
            result[name] = {"points": points(server.grpc_url, stubs[name], calls, rounds)}
        return result


def by_image_size(server: EmbeddedServer, client: Client, megapixels: Sequence[float], rounds: int) -> Points:
    """One client, photographs of several sizes in megapixels."""
    return points(
        server.grpc_url,
        server.processes(),
        {each: harmonizing(client, photograph(each)) for each in megapixels},
        rounds,
    )


def by_clients(
    server: EmbeddedServer, asking: Generator, numbers: Sequence[int], rounds: int, seconds: float
) -> Points:
    """Blocks of a closed loop, alternating.

    Each point also has `blocks`, with requests per second and percentiles; its `milliseconds` are the blocks' means.
    """
    url = server.grpc_url
    destination = question(url, scene_jpeg(512, 512), scene().expression.encode())
    memory = {}
    before = resident(server.processes())
    for number in numbers:
        with Peak(server.processes()) as peak:
            asking.run(closed_loop, destination, number, min(seconds, 2))
        memory[number] = (peak.bytes - before) / MIB
    blocks: dict[int, list[dict[str, float]]] = {number: [] for number in numbers}
    spent = {number: Counter[str]() for number in numbers}
    answered = Counter[int]()
    for turn in range(rounds):
        for number in numbers if turn % 2 == 0 else reversed(numbers):
            began = read_statistics(url)
            replies = asking.run(closed_loop, destination, number, seconds)
            spent[number].update(parts(began, settled_statistics(lambda: read_statistics(url))))
            answered[number] += len(replies)
            rate = answers(replies, 0, seconds, closed=True) / seconds
            taken = milliseconds(replies, accepted=True)
            blocks[number].append({RATE: rate, "mean": float(np.mean(taken)), **percentiles(taken)})
    return [
        {
            "at": number,
            "milliseconds": [block["mean"] for block in blocks[number]],
            "parts": {name: value / answered[number] for name, value in spent[number].items()},
            "extra_mib": memory[number],
            "blocks": blocks[number],
        }
        for number in numbers
    ]


def points(url: str, processes: list[psutil.Process], calls: Mapping[Any, Callable[[], object]], rounds: int) -> Points:
    """Alternating calls, every other round backwards, after a first round in which the processes' memory is sampled."""
    memory = {}
    before = resident(processes)
    for at, call in calls.items():
        with Peak(processes) as peak:
            call()
        memory[at] = (peak.bytes - before) / MIB
    times: dict[float, list[float]] = {at: [] for at in calls}
    spent = {at: Counter[str]() for at in calls}
    order = list(calls.items())
    for number in range(rounds):
        for at, call in order if number % 2 == 0 else reversed(order):
            earlier = read_statistics(url)
            began = time.perf_counter()
            call()
            times[at].append((time.perf_counter() - began) * 1000)
            spent[at].update(parts(earlier, settled_statistics(lambda: read_statistics(url))))
    return [
        {
            "at": at,
            "milliseconds": times[at],
            "parts": {name: value / rounds for name, value in spent[at].items()},
            "extra_mib": memory[at],
        }
        for at in calls
    ]


def parts(before: Statistics, after: Statistics) -> dict[str, float]:
    """Milliseconds that all requests spent in each model and in its queue, between two readings."""
    spent = {}
    for name, stage in stages(before, after).items():
        spent[name] = stage.requests * (stage.milliseconds - stage.queue)
        spent[WAITING + name] = stage.requests * stage.queue
    return spent


def photograph(megapixels: float) -> bytes:
    """A JPEG of 4:3."""
    height = round((megapixels * 1e6 * 3 / 4) ** 0.5)
    return scene_jpeg(height, round(height * 4 / 3))


def harmonizing(client: Client, image: bytes) -> Callable[[], object]:
    expression = scene().expression
    return lambda: client.harmonize(image, text=expression, return_mask=False)


def batch_inputs(largest: int) -> dict[str, dict[str, NDArray[Any]]]:
    """Inputs of each network with so many samples."""
    random = torch.Generator().manual_seed(0)
    inputs = {
        model.name: {name: value.numpy() for name, value in zip(model.inputs, model.make(largest, random), strict=True)}
        for model in (cris.NETWORK, ht.NETWORK)
    }
    latents = bare_diffusion.feeds(UNET_SIZE)
    del latents["COMPOSITE"]
    return inputs | {UNET: {name: value.repeat(largest, 0) for name, value in latents.items()}}


@contextmanager
def batching(names: Sequence[str], largest: int) -> Iterator[EmbeddedServer]:
    """A server of these models that accepts that many samples per request and waits for no second request."""
    with TemporaryDirectory() as folder:
        for name in names:
            source, target = MODEL_REPOSITORIES[0] / name, Path(folder, name)
            target.mkdir()
            (target / "1").symlink_to(source / "1")
            config = text_format.Parse((source / "config.pbtxt").read_text(), model_config_pb2.ModelConfig())
            config.max_batch_size = largest
            config.ClearField("dynamic_batching")
            (target / "config.pbtxt").write_text(text_format.MessageToString(config))
        with EmbeddedServer([Path(folder)], ports=Ports(0, 0, 0)) as server:
            yield server


def infer(client: triton.InferenceServerClient, model: str, feeds: dict[str, NDArray[Any]]) -> Callable[[], object]:
    """A call of one model."""
    inputs = request_tensors(feeds)
    return lambda: client.infer(model, inputs)
