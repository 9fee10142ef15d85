"""The page for annotators with ten thousand samples: how long an annotator waits, and how fast suggestions are made."""

import asyncio
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import httpx

from benchmarks.annotating.large import answer, write_dataset
from concord.instruments.markdown import times
from concord.instruments.timing import percentiles
from facade.store.address import file_url

SAMPLES, ANSWERED = 10_000, 9_500
ROUNDS = 100
_TIMEOUT = 60.0


@dataclass(frozen=True)
class Numbers:
    """Milliseconds by what is asked: while suggestions are made beside it, and when all have been.

    Attributes:
        starting: seconds from the command to the first page.
        suggestions: samples a second that suggestions by rule were made for while nobody asked.
    """

    samples: int
    answered: int
    starting: float
    busy: dict[str, dict[str, float]]
    idle: dict[str, dict[str, float]]
    suggestions: float


def measure(rounds: int = ROUNDS, number: int = SAMPLES, answered: int = ANSWERED) -> Numbers:
    with TemporaryDirectory() as temporary:
        folder = Path(temporary)
        write_dataset(folder / "data", number)
        url = file_url(folder / "answers.db")
        asyncio.run(answer(folder / "data", url, answered))
        began = time.perf_counter()
        with annotating(folder / "data", url) as http:
            starting = time.perf_counter() - began
            http.post("/enter", data={"name": "benchmark"})
            http.post("/guide", data={"read": "1"})
            busy = asked(http, rounds)
            before, since = prepared(http)[0], time.perf_counter()
            while (found := prepared(http))[0] < found[1]:
                time.sleep(0.5)
            rate = (found[0] - before) / (time.perf_counter() - since)
            return Numbers(number, answered, starting, busy, asked(http, rounds), rate)


@contextmanager
def annotating(folder: Path, url: str) -> Iterator[httpx.Client]:
    """Somebody at the page of a data set, in a process of its own."""
    flags = ("--dataset", folder, "--answers", url, "--no-confidence", "--port", "0", "--log-level", "warning")
    command = (sys.executable, "-m", "annotation.command", *flags)
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as process:  # noqa: S603
        try:
            assert process.stderr is not None
            found = next(filter(None, (re.search(r"the page is at (\S+)", line) for line in process.stderr)))
            with httpx.Client(base_url=found[1], timeout=_TIMEOUT) as http:
                http.get("/healthz")
                yield http
        finally:
            process.send_signal(signal.SIGTERM)


def asked(http: httpx.Client, rounds: int) -> dict[str, dict[str, float]]:
    """Percentiles of what a browser asks for each sample, one after the other."""
    found: dict[str, list[float]] = {"page": [], "picture": [], "draft": [], "answer": []}

    def timed(name: str, ask: Callable[[], httpx.Response]) -> str:
        began = time.perf_counter()
        answered = ask()
        found[name].append(1000 * (time.perf_counter() - began))
        answered.raise_for_status() if not answered.has_redirect_location else None
        return answered.text if name == "page" else ""

    for number in range(rounds):
        page = timed("page", lambda: http.get("/sample"))
        place = re.findall(r'action="/samples/([^"]+)"', page)[0]
        form = {
            "chosen": re.findall(r'name="chosen" value="(\d+)"', page)[:1],
            "offered": re.findall(r'name="offered" value="(\d+)"', page),
            "own": f"my object {number}",
        }
        timed("picture", lambda place=place: http.get(f"/pictures/{place}"))  # type: ignore[misc]
        timed("draft", lambda place=place, form=form: http.put(f"/drafts/{place}", data=form))  # type: ignore[misc]
        timed("answer", lambda place=place, form=form: http.post(f"/samples/{place}", data=form))  # type: ignore[misc]
    return {name: percentiles(each) for name, each in found.items()}


def prepared(http: httpx.Client) -> tuple[int, int]:
    """How many samples have suggestions, and how many there are."""
    done, total = re.findall(r"<dd>(\d+) / (\d+)</dd>", http.get("/progress").text)[1]
    return int(done), int(total)


def section(numbers: Numbers) -> str:
    whole = sum(each["p50"] for each in numbers.busy.values())
    return (
        f"## Annotating: {numbers.samples} samples, {numbers.answered} of them answered\n\n"
        "What a browser asks for each sample, one after the other. While suggestions are made beside it:\n\n"
        f"{times(numbers.busy)}\n\nWhen all have been made:\n\n{times(numbers.idle)}\n\n"
        f"Of the time that a sample takes, {whole:.0f} ms are the server's. Suggestions by rule are made for "
        f"{numbers.suggestions:.1f} samples a second; the first page is there {numbers.starting:.1f} s after the start."
    )
