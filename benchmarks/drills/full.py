"""A disk and a shared memory that are full: `concord serve` in a namespace, with small file systems of its own."""

import subprocess
from collections.abc import Collection
from contextlib import suppress
from pathlib import Path
from tempfile import TemporaryDirectory

import httpx
import psutil

from benchmarks.drills.hardship import Hardship, endured, harmonize, hashed
from benchmarks.drills.service import Service, serving
from benchmarks.load.generator import Target, generator
from concord.instruments.memory import MIB
from concord.scenes.encoded import scene, scene_jpeg
from concord.server.leftovers import SHARED_MEMORY

SECONDS = 20.0
SMALL, LARGE = 256, 1_024
"""Sides of pictures, in pixels."""
DISK, MEMORY = "the disk is full", "shared memory is full"
SIZE = "256m"
ENTER = ("unshare", "--map-root-user", "--mount")
MOUNT = 'mount -t tmpfs -o size="$0" none "$1" && shift && exec "$@"'
BLOCK = bytes(4096)


def measure(seconds: float = SECONDS, only: Collection[str] = (DISK, MEMORY)) -> list[Hardship]:
    """Those of these names, or why they are skipped; `seconds` is how long each lasts."""
    if not can_enter():
        return [Hardship(name, skipped="no namespaces") for name in only]
    return [drill(name, seconds) for name in only]


def can_enter() -> bool:
    """Whether this machine lets its users have namespaces, and file systems in them."""
    command = [*ENTER, "mount", "-t", "tmpfs", "none", str(SHARED_MEMORY)]
    with suppress(OSError):
        return subprocess.run(command, capture_output=True, check=False).returncode == 0  # noqa: S603
    return False


def drill(name: str, seconds: float) -> Hardship:
    with TemporaryDirectory() as folder, generator() as asking:
        small = folder if name == DISK else str(SHARED_MEMORY)
        within = [*ENTER, "sh", "-c", MOUNT, SIZE, small]
        # Its temporary files in any case: in a namespace, it cannot see which folders of others are in use.
        with serving(Path(folder), {"TMPDIR": folder}, flags=[], within=within) as service:
            place = Path(f"/proc/{service.process.pid}/root{small}")
            filler = place / "filler"
            requests = asked(service)
            targets = {name: Target.of(request) for name, request in requests.items()}
            uploaded = httpx.get(f"{service.url}/gradio_api/file={upload(requests['page'])}").request

            def fill() -> None:
                with filler.open("wb", buffering=0) as file, suppress(OSError):
                    while True:
                        file.write(BLOCK)

            def kept() -> dict[str, str]:
                # Nothing large: the shared memory of a model has yet to grow when it is full.
                return {"small": hashed(requests["small"]), "upload": hashed(uploaded)}

            def used_mib() -> float:
                return psutil.disk_usage(str(place)).used / MIB

            return endured(name, service, asking, targets, kept, fill, filler.unlink, used_mib, seconds)


def asked(service: Service) -> dict[str, httpx.Request]:
    """What is asked, by name."""

    def post(path: str, files: object, data: object = None) -> httpx.Request:
        return httpx.Request("POST", service.url + path, files=files, data=data)  # type: ignore[arg-type]

    photographs = [("images", (f"{number}.jpg", scene_jpeg(SMALL, SMALL))) for number in range(2)]
    return {
        "small": harmonize(service, SMALL),
        "large": harmonize(service, LARGE),
        "batch": post("/v1/batches", photographs, {"text": scene().expression}),
        "page": post("/gradio_api/upload", {"files": ("photo.jpg", scene_jpeg(LARGE, LARGE))}),
    }


def upload(request: httpx.Request) -> str:
    """The path that the page gives a file."""
    with httpx.Client() as http:
        [path] = http.send(request).json()
    return str(path)
