"""Something that comes over the service while requests do: how they are answered amid it and afterwards."""

import hashlib
import time
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

import httpx

from benchmarks.drills.kills import Kind, kind, mixed
from benchmarks.drills.service import TRITON, Service
from benchmarks.load.generator import Generator, Target
from concord.instruments.memory import MIB, resident
from concord.scenes.encoded import scene_jpeg, scene_mask

SECONDS = 120.0
LEFT_SECONDS = 3.0
"""For how long Triton cannot be started again, after it was killed amid a hardship."""


@dataclass(frozen=True)
class Hardship:
    """One of them; requests are told apart by what they ask.

    Attributes:
        amid, after: how they were answered while it lasted, and from then on; a process was killed between them.
        changed: what is no longer as it was before.
        memory_mib: of all processes, before and after.
        room_mib: what is used of the file system that it is about, before and after.
        skipped: why it was not made.
    """

    name: str
    amid: Mapping[str, Kind] = field(default_factory=dict)
    after: Mapping[str, Kind] = field(default_factory=dict)
    changed: list[str] = field(default_factory=list)
    memory_mib: list[float] = field(default_factory=list)
    room_mib: list[float] = field(default_factory=list)
    skipped: str = ""


def endured(
    name: str,
    service: Service,
    asking: Generator,
    targets: Mapping[str, Target],
    kept: Callable[[], dict[str, str]],
    begin: Callable[[], object],
    end: Callable[[], object],
    room_mib: Callable[[], float],
    seconds: float,
) -> Hardship:
    """Asks for so long amid it and for twice as long from then on; Triton is killed, and it ends a little later."""
    before = kept()
    memory, room = [resident(service.processes()) / MIB], [room_mib()]
    begin()
    amid = asking.run(mixed, targets, 1, seconds)
    with ThreadPoolExecutor(1) as thread:
        service.victims()[TRITON][0].kill()
        replies = thread.submit(asking.run, mixed, targets, 1, 2 * seconds)
        time.sleep(LEFT_SECONDS)
        end()
        after = replies.result()
    service.wait_ready()
    now = kept()
    memory.append(resident(service.processes()) / MIB)
    room.append(room_mib())
    return Hardship(
        name,
        {each: kind(found, seconds) for each, found in amid.items()},
        {each: kind(found, 2 * seconds) for each, found in after.items()},
        [each for each in before if before[each] != now[each]],
        memory,
        room,
    )


def harmonize(service: Service, side: int) -> httpx.Request:
    """With a mask, a picture of so many pixels a side."""
    files = {"image": scene_jpeg(side, side), "mask": scene_mask(side, side)}
    return httpx.Request("POST", f"{service.url}/v1/harmonize", files=files)


def hashed(request: httpx.Request) -> str:
    """The hash of its answer, or what else came."""
    with httpx.Client(timeout=SECONDS) as http:
        found = http.send(request)
    return hashlib.sha256(found.content).hexdigest() if found.is_success else f"{found.status_code} {found.text[:200]}"
