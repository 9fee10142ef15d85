"""Large answers: what they take of the facade's memory while nobody reads them, and how long others wait meanwhile."""

import io
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field

import httpx
import numpy as np
import psutil
from PIL import Image

POLL_SECONDS = 0.01
PIECE = 2**16


@dataclass
class Watched:
    """What was seen of a facade: bytes of its memory, and seconds in which it said that it is healthy."""

    idle: int
    memory: list[int] = field(default_factory=list)
    health: list[float] = field(default_factory=list)

    @property
    def most_above_idle(self) -> int:
        return max(self.memory) - self.idle


def noise(width: int, height: int) -> tuple[bytes, bytes]:
    """A photograph whose answer is as large as an answer can be, as a small JPEG, and the mask of its middle."""
    pixels = np.random.default_rng(0).integers(0, 256, (height, width, 3), dtype=np.uint8)
    mask = np.zeros((height, width), np.uint8)
    mask[height // 4 : -height // 4, width // 4 : -width // 4] = 255
    files = []
    for picture, kind in ((pixels, "JPEG"), (mask, "PNG")):
        file = io.BytesIO()
        Image.fromarray(picture).save(file, kind, quality=30)
        files.append(file.getvalue())
    return files[0], files[1]


@contextmanager
def watched(url: str, pid: int) -> Iterator[Watched]:
    """Looks at a facade and its process for as long as the block runs."""
    process, done = psutil.Process(pid), threading.Event()
    seen = Watched(process.memory_info().rss)

    def look() -> None:
        with httpx.Client(base_url=url, timeout=60) as client:
            while not done.wait(POLL_SECONDS):
                began = time.monotonic()
                client.get("/healthz").raise_for_status()
                seen.health.append(time.monotonic() - began)
                seen.memory.append(process.memory_info().rss)

    with ThreadPoolExecutor(1) as thread:
        looking = thread.submit(look)
        try:
            yield seen
        finally:
            done.set()
            looking.result()


def read_slowly(url: str, image: bytes, mask: bytes, rate: int, stop: Callable[[], bool]) -> tuple[int, int]:
    """Asks for a photograph, and reads the answer at so many bytes a second; its status and how much came."""
    files, came = {"image": image, "mask": mask}, 0
    with httpx.stream("POST", f"{url}/v1/harmonize", files=files, timeout=600) as answer:
        try:
            for piece in answer.iter_raw(PIECE):
                came += len(piece)
                time.sleep(len(piece) / rate)
                if stop():
                    break
        except httpx.TransportError:
            # It was cut off.
            return answer.status_code, -came
    return answer.status_code, came


def slow_readers(
    url: str, pid: int, count: int, rate: int, seconds: float, side: int = 6324
) -> tuple[Watched, list[tuple[int, int]]]:
    """So many at a time, for so long at most; what was seen meanwhile, and what each of them got."""
    image, mask = noise(side, side)
    until = time.monotonic() + seconds
    with watched(url, pid) as seen, ThreadPoolExecutor(count) as threads:
        reading = [
            threads.submit(read_slowly, url, image, mask, rate, lambda: time.monotonic() > until) for _ in range(count)
        ]
        got = [each.result() for each in reading]
    return seen, got
