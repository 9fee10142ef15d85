"""Concord and what a user would run instead: the same request to each, in alternating blocks."""

import http.client
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from typing import Any

import numpy as np
from concord_client.pipelines import SEGMENT_HARMONIZE
from tritonclient.grpc import service_pb2  # type: ignore[import-untyped]
from tritonclient.utils import serialize_byte_tensor  # type: ignore[import-untyped]

from benchmarks.load import generator as load
from benchmarks.load.comparison import FEWEST_PAIRS, ratio
from benchmarks.load.generator import Destination, Generator, Replies, Reply, Target, generator, statuses
from benchmarks.load.grpc_target import GrpcTarget
from benchmarks.load.result import answers
from benchmarks.parts.facade import form_request, serving
from benchmarks.peers.app import App, app, tree
from benchmarks.peers.names import BF16, FACADE, FASTAPI, GRPC, LITSERVE, ONNX_RUNTIME, OPENVINO, OURS, RATE
from benchmarks.peers.pipeline import Pipeline, onnx_runtime, openvino
from concord.instruments.memory import MIB, resident
from concord.instruments.timing import percentiles
from concord.scenes.encoded import scene, scene_jpeg
from concord.server.embedded import HOST, EmbeddedServer, Ports

CLIENTS = (1, 8)
IN_PROCESS = {ONNX_RUNTIME: onnx_runtime, OPENVINO: openvino}

Blocks = Sequence[Mapping[str, float]]
Ask = Callable[[int, float], Replies]
"""Asks a system with so many clients, each again when it is answered, for so many seconds."""


def peers(rounds: int = FEWEST_PAIRS, seconds: float = 8.0) -> dict[str, Any]:
    """Demo weights, text and a 512x512 JPEG to a PNG: throughput, times and memory of each, with 1 and with 8 clients.

    All read the same ONNX files. Concord runs a second time with the profile `bf16`, which passes its gate and which
    `concord tune` chooses on CPUs with BF16. Pipelines in this process have one client only.

    Args:
        rounds: blocks of each system and number of clients, at least `FEWEST_PAIRS`.
        seconds: of a block.
    """
    image, text = scene_jpeg(512, 512), scene().expression.encode()
    form = {"image": image, "text": text}
    with (
        generator() as asking,
        EmbeddedServer(ports=Ports(0, 0, 0)) as server,
        EmbeddedServer(ports=Ports(0, 0, 0), model_config_name="bf16") as faster,
        serving(server) as facade,
        serving(faster) as bf16,
        app("litserve_app") as litserve,
        app("fastapi_app") as fastapi,
    ):
        served: dict[str, Destination] = {
            GRPC: question(server.grpc_url, image, text),
            FACADE: facade.target(form),
            BF16: bf16.target(form),
            LITSERVE: over_http(litserve, form),
            FASTAPI: over_http(fastapi, form),
        }
        asks = {name: from_outside(asking, destination) for name, destination in served.items()}
        alone = {name: in_process(Pipeline(network), image, text) for name, network in IN_PROCESS.items()}
        compared = compare(asks, alone, CLIENTS, rounds, seconds)
        triton = resident(server.processes()) / MIB
        memory = {
            GRPC: triton,
            FACADE: triton + resident(tree(facade.process)) / MIB,
            BF16: (resident(faster.processes()) + resident(tree(bf16.process))) / MIB,
            LITSERVE: resident(tree(litserve.process)) / MIB,
            FASTAPI: resident(tree(fastapi.process)) / MIB,
        }
    return {"request": "Text to harmonized 512x512 JPEG on demo weights", "memory_mib": memory, **compared}


def compare(
    served: Mapping[str, Ask], alone: Mapping[str, Ask], clients: Sequence[int], rounds: int, seconds: float
) -> dict[str, Any]:
    """Each system's results by clients, and the ratio of each of `OURS` to the other servers (above 1 is faster)."""
    turns = [(number, name, ask) for number in clients for name, ask in served.items()]
    turns += [(1, name, ask) for name, ask in alone.items()]
    blocks = in_blocks(turns, rounds, seconds)
    systems = {
        number: {name: summary(each, seconds) for name, each in everyone.items()} for number, everyone in blocks.items()
    }
    others = [name for name in served if name not in (GRPC, *OURS)]
    return {
        "block_seconds": seconds,
        "clients": {str(number): everyone for number, everyone in systems.items()},
        "over": {
            str(number): {
                ours: {name: over(everyone[ours]["blocks"], everyone[name]["blocks"]) for name in others}
                for ours in OURS
                if ours in everyone
            }
            for number, everyone in systems.items()
        },
    }


def over(ours: Blocks, theirs: Blocks) -> dict[str, dict[str, Any]]:
    """How many times as fast ours is, by throughput and percentiles; see `benchmarks.load.comparison.ratio`."""
    ratios = {}
    for key in (RATE, "p50", "p99"):
        mine, other = ([block[key] for block in blocks] for blocks in (ours, theirs))
        base, here = (other, mine) if key == RATE else (mine, other)
        ratios[key] = asdict(ratio(base, here, less_is_faster=False))
    return ratios


def in_blocks(
    turns: Sequence[tuple[int, str, Ask]], rounds: int, seconds: float
) -> dict[int, dict[str, list[Replies]]]:
    """The replies by clients, system and block; every other round runs backwards."""
    blocks: dict[int, dict[str, list[Replies]]] = {}
    for clients, name, ask in turns:
        blocks.setdefault(clients, {})[name] = []
        ask(clients, min(seconds, 1))
    for number in range(rounds):
        for clients, name, ask in turns if number % 2 == 0 else reversed(turns):
            blocks[clients][name].append(ask(clients, seconds))
    return blocks


def summary(blocks: list[Replies], seconds: float) -> dict[str, Any]:
    """Throughput and percentiles by block, and the medians of the blocks'; the statuses of all together."""
    rows = [
        {
            RATE: answers(block, 0, seconds, closed=True) / seconds,
            **percentiles(load.milliseconds(block, accepted=True)),
        }
        for block in blocks
    ]
    medians = {key: float(np.median([row[key] for row in rows])) for key in rows[0]}
    counts = statuses([reply for block in blocks for reply in block])
    return {"blocks": rows, **medians, "statuses": {str(status): count for status, count in counts.items()}}


def question(url: str, image: bytes, text: bytes) -> GrpcTarget:
    """A request for the harmonized picture only, because the others answer with nothing else."""
    request = service_pb2.ModelInferRequest(model_name=SEGMENT_HARMONIZE)
    for name, value in (("IMAGE", image), ("TEXT", text)):
        request.inputs.add(name=name, datatype="BYTES", shape=[1, 1])
        request.raw_input_contents.append(serialize_byte_tensor(np.array([[value]], object)).item())
    request.outputs.add(name="HARMONIZED")
    return GrpcTarget(url, request.SerializeToString())


def over_http(running: App, form: dict[str, bytes]) -> Target:
    return Target(HOST, running.port, form_request("/harmonize", form))


def from_outside(asking: Generator, destination: Destination) -> Ask:
    return lambda clients, seconds: asking.run(load.closed_loop, destination, clients, seconds)


def in_process(pipeline: Pipeline, image: bytes, text: bytes) -> Ask:
    """Calls in sequence, without a server."""

    def ask(clients: int, seconds: float) -> Replies:
        assert clients == 1
        began = time.perf_counter()
        replies = []
        while (due := time.perf_counter()) - began < seconds:
            pipeline(image, text)
            replies.append(Reply(http.client.OK, time.perf_counter() - due, due - began))
        return replies

    return ask
