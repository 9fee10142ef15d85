"""Damaged files of every format, sent to `concord serve` and to its Triton: how they are answered, and what is left."""

from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import count, islice
from pathlib import Path
from tempfile import TemporaryDirectory

import httpx
import numpy as np
from tritonclient.grpc import InferenceServerClient as Triton  # type: ignore[import-untyped]
from tritonclient.grpc import InferInput
from tritonclient.utils import InferenceServerException  # type: ignore[import-untyped]

from benchmarks.drills import mutated
from benchmarks.drills.service import serving
from concord.errors import ImageTooLarge, InvalidImage, InvalidMask, TooComplex, UnsupportedImage, typed_error
from concord.instruments.memory import MIB, resident
from concord.scenes.encoded import scene_mask
from facade.problems import TYPE_PREFIX, ProblemDetails

FILES, FIRST = 10_000, 1_000
AT_A_TIME = 4
SECONDS = 120.0
ANSWERED = "answered"
DECLARED = frozenset(
    {
        ANSWERED,
        *(kind.code for kind in (InvalidImage, UnsupportedImage, ImageTooLarge, TooComplex, InvalidMask)),
        "missing_field",
    }
)
"""How a file may be answered: a mask does not belong to each that can be read, and an empty file is none."""


@dataclass(frozen=True)
class Damaged:
    """How files were answered.

    Attributes:
        answers: by what the files were, how many there were of each, in both ways together.
        wrong: answers that are not among those declared.
        memory_mib: of all processes, after the first files and after all.
        ended: processes that are no longer there.
    """

    files: int
    answers: dict[str, dict[str, int]]
    wrong: list[str]
    memory_mib: list[float]
    ended: int


def measure(number: int = FILES, first: int = FIRST, seed: int = 0) -> Damaged:
    """Sends so many files, over HTTP and gRPC in turn; memory is compared with that after the first."""
    files, memory = mutated.files(number, seed), []
    answers: dict[str, Counter[str]] = {kind: Counter() for kind in mutated.originals()}
    with TemporaryDirectory() as folder, serving(Path(folder)) as service, ThreadPoolExecutor(AT_A_TIME) as threads:
        before = {each.pid for each in service.processes()}
        with httpx.Client(base_url=service.url, timeout=SECONDS) as http, Triton(service.grpc_url) as triton:

            def ask(number: int, file: tuple[str, bytes]) -> tuple[str, str]:
                kind, content = file
                return kind, over_grpc(triton, content) if number % 2 else over_http(http, content)

            for part in (islice(files, first), files):
                for kind, found in threads.map(ask, count(), part):
                    answers[kind][found] += 1
                memory.append(resident(service.processes()) / MIB)
        ended = len(before - {each.pid for each in service.processes()})
    told = {kind: dict(sorted(found.items())) for kind, found in answers.items()}
    wrong = sorted({each for found in told.values() for each in found if each not in DECLARED})
    return Damaged(number, told, wrong, memory, ended)


def over_http(http: httpx.Client, content: bytes) -> str:
    """How the facade answers when it is to harmonize a file: `answered`, or a problem's code."""
    files = {"image": content, "mask": scene_mask(mutated.HEIGHT, mutated.WIDTH)}
    answer = http.post("/v1/harmonize", files=files)
    if answer.status_code == httpx.codes.OK:
        return ANSWERED
    named = answer.headers["content-type"] == ProblemDetails.MEDIA_TYPE
    return str(answer.json()["type"].removeprefix(TYPE_PREFIX)) if named else str(answer.status_code)


def over_grpc(triton: Triton, content: bytes) -> str:
    """How Triton answers when it is to decode a file: `answered`, or a typed error's code."""
    tensor = InferInput("IMAGE", [1, 1], "BYTES")
    tensor.set_data_from_numpy(np.array([[content]], object))
    try:
        triton.infer("decode", [tensor], client_timeout=SECONDS)
    except InferenceServerException as error:
        typed = typed_error(error.message())
        return typed.code if typed else error.message()
    return ANSWERED
