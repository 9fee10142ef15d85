"""Steps that measure the whole server on a GPU, and judge its pictures."""

import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch

from benchmarks.floors import loop, published, text_guided
from benchmarks.gpu import FOLDER
from benchmarks.gpu.networks import FORMS, names
from benchmarks.load.generator import closed_loop, generator, milliseconds
from benchmarks.load.grpc_target import target_of
from benchmarks.load.result import answers
from benchmarks.subjects import HEAVY, LIGHT, diffusion
from benchmarks.subjects import text_guided as pipeline
from concord.gates.gate import gates
from concord.instruments import started_server
from concord.instruments.memory import MIB
from concord.instruments.timing import in_turns, percentiles
from concord.scenes.encoded import scene, scene_jpeg, scene_mask
from concord.server.embedded import EmbeddedServer
from concord.server.installation import MODEL_REPOSITORIES
from concord.variants import DEFAULT, variants
from concord_client import Client
from export import fp16

DEMO = FOLDER / "demo"
GPU_PROFILES = ("cuda", "fp16")
CLIENTS = (1, 8, 32)
MADE = ("__pycache__", "*.int8.*", "*.plan*", "tuned.*")
Serving = Callable[[str], AbstractContextManager[EmbeddedServer]]


@dataclass(frozen=True)
class Rate:
    """A closed loop: answers a second, and milliseconds."""

    per_second: float
    p50: float
    p99: float


@dataclass(frozen=True)
class Served:
    """A server of one profile; a request at 512 x 512 pixels.

    Attributes:
        ready_seconds: until it answered.
        gpu_mib: memory of the GPU that it takes after all of the following.
        milliseconds: p50 of one client, by kind of request.
        rates: by kind of request, and number of clients.
    """

    ready_seconds: float
    gpu_mib: float
    milliseconds: dict[str, float]
    rates: dict[str, dict[int, Rate]]


def demo(profile: str) -> AbstractContextManager[EmbeddedServer]:
    return started_server.serving((DEMO, *MODEL_REPOSITORIES[1:]), profile)


def of_published_size(profile: str) -> AbstractContextManager[EmbeddedServer]:
    return published.serving(FORMS["fused"], only=names(), profile=profile)


def served(serving: Serving, profile: str, rounds: int = 20, seconds: float = 4) -> Iterator[Any]:
    """A step that puts a server of one profile under load."""
    yield
    free, began = free_memory(), time.monotonic()
    light = LIGHT if serving is demo else HEAVY
    with serving(profile) as server, Client(server.grpc_url) as client, generator() as asking:
        ready = time.monotonic() - began
        image = scene_jpeg(512, 512)
        calls = {
            "text": text_guided.asking(client, image, light),
            "diffusion": loop.asking(client, {"resolution": published.SIZE}),
        }
        times = in_turns(calls, rounds, warm=3)
        of_text = {"IMAGE": image, "TEXT": scene().expression.encode()}
        of_mask = {"IMAGE": image, "MASK": scene_mask(512, 512)}
        targets = {
            "text": target_of(server.grpc_url, pipeline(light).name, of_text, "HARMONIZED"),
            "diffusion": target_of(server.grpc_url, f"{diffusion().name}_once", of_mask, "HARMONIZED"),
        }
        rates: dict[str, dict[int, Rate]] = {name: {} for name in targets}
        for name, target in targets.items():
            for clients in CLIENTS:
                asking.run(closed_loop, target, clients, seconds / 4)
                replies = asking.run(closed_loop, target, clients, seconds)
                taken = percentiles(milliseconds(replies, accepted=True))
                rate = answers(replies, 0, seconds, closed=True) / seconds
                rates[name][clients] = Rate(rate, taken["p50"], taken["p99"])
        medians = {name: percentiles(each)["p50"] for name, each in times.items()}
        yield asdict(Served(ready, (free - free_memory()) / MIB, medians, rates))


def judged(pictures: int = 16) -> Iterator[Any]:
    """A step that compares pictures of the demo weights on a GPU with those of the processor in FP32.

    Nothing of it is timed, so that it runs while the others prepare.
    """
    build_demo(DEMO)
    found = gates(GPU_PROFILES, pictures, (DEMO, *MODEL_REPOSITORIES[1:]))
    yield
    yield {profile: asdict(gate) for profile, gate in found.items()}


def build_demo(folder: Path) -> None:
    """Copies the networks with demo weights, and makes their FP16 forms."""
    shutil.copytree(MODEL_REPOSITORIES[0], folder, ignore=shutil.ignore_patterns(*MADE), dirs_exist_ok=True)
    for model, profiles in variants([folder]).items():
        if fp16.PROFILE in profiles and profiles[DEFAULT].made and profiles[fp16.PROFILE].problem():
            print(fp16.build(model, folder, "fp16"), flush=True)


def free_memory() -> int:
    """Bytes of the GPU that nobody has taken; 0 without one."""
    return torch.cuda.mem_get_info()[0] if torch.cuda.is_available() else 0
