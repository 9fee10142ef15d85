"""Attacks on `concord serve`, one after the other, and what another key and health saw of each."""

from collections.abc import Callable, Collection
from functools import partial
from io import BytesIO
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TypeAlias

import httpx
import numpy as np
from PIL import Image

from benchmarks.drills import attacks, hostile
from benchmarks.drills.attacks import Answers
from benchmarks.drills.service import Service, serving
from benchmarks.drills.watched import Watched, watched
from benchmarks.load.generator import Generator, Target, generator
from concord.masks import encode_mask
from concord.scenes.encoded import scene, scene_jpeg, scene_mask

Attack: TypeAlias = Callable[[], Answers]

GREEDY, OTHER = "the-key-of-the-greedy-one", "the-key-of-another-one"
ALONE_SECONDS, AMID_SECONDS = 5.0, 15.0
LARGE_SIDE = 6_324
"""Of a picture of 40 megapixels."""
LARGE_SECONDS = 120.0
BATCHES, BATCH_IMAGES = 4, 100
PARALLEL = 17
CALLS = 5_000


def measure(
    alone: float = ALONE_SECONDS,
    amid: float = AMID_SECONDS,
    large: float = LARGE_SECONDS,
    calls: int = CALLS,
    only: Collection[str] | None = None,
) -> list[Watched]:
    """Each attack, or those of these names.

    Args:
        alone: seconds for which the others are watched before an attack.
        amid: seconds for which they are watched amid it, and the shortest attack lasts.
        large: seconds for which large answers are read slowly.
        calls: how many are made at once over gRPC.
    """
    keys = {"CONCORD_API_KEYS": f"{GREEDY},{OTHER}", "CONCORD_RATE_LIMIT": "1000000/minute"}
    with (
        TemporaryDirectory() as folder,
        serving(Path(folder), keys) as service,
        generator() as attacking,
        generator() as watching,
    ):
        health = Target.of(httpx.Request("GET", f"{service.url}/healthz"))
        image, mask = scene_jpeg(384, 512), scene_mask(384, 512)
        other = form(service, OTHER, {"image": image, "mask": mask})
        found = []
        for name, (prepare, seconds) in attempts(service, attacking, amid, large, calls).items():
            if only is None or name in only:
                facade = [service.process]
                found.append(watched(name, prepare(), watching, health, other, facade, alone, seconds))
        return found


def attempts(
    service: Service, attacking: Generator, amid: float, large: float, calls: int
) -> dict[str, tuple[Callable[[], Attack], float]]:
    """By name, what prepares an attack, and the seconds for which others are watched amid it."""
    image, mask = scene_jpeg(384, 512), scene_mask(384, 512)
    text = scene().expression

    def ours(**fields: bytes) -> Target:
        return form(service, GREEDY, {"image": image, "mask": mask} | fields)

    def batch() -> Target:
        images = {f"{number}.jpg": image for number in range(BATCH_IMAGES)}
        return form(service, GREEDY, {"text": text.encode(), **images}, path="batches")

    def answered_large() -> Target:
        whole = encode_mask(np.full((LARGE_SIDE, LARGE_SIDE), 255, np.uint8))
        files = {"image": noise_jpeg(LARGE_SIDE), "mask": whole}
        return form(service, GREEDY, files, {"Accept": "application/json"})

    run = partial(partial, attacking.run)
    found: dict[str, tuple[Callable[[], Attack], float]] = {
        f"{attacks.CHUNKS} chunks of a byte": (lambda: run(attacks.chunks, ours(), amid), amid),
        f"{attacks.STALLED} half bodies": (lambda: run(attacks.half_bodies, ours(), amid), amid),
        f"{PARALLEL} requests of one key at a time": (lambda: run(attacks.many, [ours()], PARALLEL, amid), amid),
        f"{BATCHES} batches of one key": (lambda: run(attacks.many, [batch()], BATCHES, amid), amid),
        f"{attacks.READERS} slow readers of 40 megapixels": (
            lambda: run(attacks.slow_readers, answered_large(), large),
            large,
        ),
        f"{calls} calls at once over gRPC": (
            lambda: run(attacks.calls, service.grpc_url, image, text, calls),
            amid,
        ),
    }
    for kind, make in hostile.REFUSED.items():
        prepare = partial(lambda make: run(attacks.many, [ours(image=make())], 2, amid / 3), make)
        found[f"file: {kind}"] = (prepare, amid / 3)
    return found


def form(
    service: Service, key: str, fields: dict[str, bytes], headers: dict[str, str] | None = None, path: str = "harmonize"
) -> Target:
    """A POST of a key; fields with a dot are images of a batch, the text is no file."""
    texts = {name: value.decode() for name, value in fields.items() if name == "text"}
    files = [("images" if "." in name else name, (name, value)) for name, value in fields.items() if name not in texts]
    sent = {"Authorization": f"Bearer {key}", **(headers or {})}
    return Target.of(httpx.Request("POST", f"{service.url}/v1/{path}", data=texts, files=files, headers=sent))


def noise_jpeg(side: int) -> bytes:
    """Noise, which no answer packs."""
    stream = BytesIO()
    pixels = np.random.default_rng(0).integers(0, 256, (side, side, 3), np.uint8)
    Image.fromarray(pixels).save(stream, "JPEG", quality=30)
    return stream.getvalue()
