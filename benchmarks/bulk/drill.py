"""A run that is killed twice, once its program and once a node, and what became of its rows."""

import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import pyarrow.parquet as pq

from benchmarks.bulk.nodes import Nodes
from benchmarks.bulk.recorder import MODEL, asked, named, numbered, write_recording
from concord.bulk.journal import TABLE
from concord.bulk.order import PICTURES
from concord.scenes.encoded import scene_jpeg, scene_mask

SIDE = 64
SECONDS = 600.0
_POLL_SECONDS = 0.05


@dataclass(frozen=True)
class Drill:
    """What was found.

    Attributes:
        rows: of the input.
        kills: pictures that were there when the program, and when a node, was killed.
        lost: rows without a picture, or without a line in the table.
        twice: rows with several lines, and those that were asked for after a kill although their picture was there.
        again: requests that were under way at a kill, and were asked again.
        words: what the last run said.
    """

    rows: int
    kills: tuple[int, int]
    lost: int
    twice: int
    again: int
    words: str


def drill(nodes: Nodes, folder: Path, rows: int, seconds: float) -> Drill:
    """Kills the program after a quarter of the rows, starts it again, and kills a node after half of them."""
    record, models, output = folder / "record", folder / "models", folder / "out"
    write_recording(models, record, seconds)
    images = numbered(range(rows), scene_jpeg(SIDE, SIDE))
    mask = scene_mask(SIDE, SIDE)
    for name in ("photos", "masks"):
        (folder / name).mkdir()
    for number, image in images.items():
        (folder / "photos" / f"{number}.jpg").write_bytes(image)
        (folder / "masks" / f"{number}.png").write_bytes(mask)
    arguments = [folder / "photos", output, "--masks", folder / "masks", "--model-repository", models]
    arguments = [*arguments, "--model", MODEL]
    first = run_until(nodes, arguments, folder, rows // 4, lambda process: process.kill())
    second = run_until(nodes, arguments, folder, rows // 2, lambda _: nodes.lose())
    assert second.returncode == 0, second.words
    counts = {name: count for name, count in asked(record).items() if name in set(map(named, images.values()))}
    there = {path.stem for path in (output / PICTURES).iterdir()}
    lines = [Path(name).stem for name in pq.read_table(output / TABLE).column("id").to_pylist()]
    again = {
        number
        for ran in (first, second)
        for number in ran.there
        if counts[name := named(images[int(number)])] > ran.asked[name]
    }
    return Drill(
        rows=rows,
        kills=(len(first.there), len(second.there)),
        lost=rows - len(there & set(lines)),
        twice=len(lines) - len(set(lines)) + len(again),
        again=sum(counts.values()) - rows,
        words=second.words,
    )


@dataclass(frozen=True)
class _Ran:
    """A run: how it ended, what it said, and, when it was killed, the pictures that were there and what was asked."""

    returncode: int
    words: str
    there: frozenset[str]
    asked: Counter[str]


def run_until(
    nodes: Nodes, arguments: Sequence[object], folder: Path, count: int, then: Callable[[subprocess.Popen[str]], None]
) -> _Ran:
    """Runs the command, and does something when there are so many pictures."""
    before = Counter[str]()
    with start(nodes, arguments) as process:
        end = time.monotonic() + SECONDS
        while process.poll() is None and time.monotonic() < end:
            there = frozenset(path.stem for path in (folder / "out" / PICTURES).glob("*.png"))
            if len(there) >= count:
                before = asked(folder / "record")
                then(process)
                break
            time.sleep(_POLL_SECONDS)
        words = process.communicate(timeout=SECONDS)[1]
    return _Ran(process.returncode, words, there, before)


def start(nodes: Nodes, arguments: Sequence[object], task: str = "harmonize") -> subprocess.Popen[str]:
    """Starts ``concord bulk`` on the nodes."""
    words = ["bulk", *map(str, arguments), "--task", task, "--address", nodes.address]
    return subprocess.Popen(  # noqa: S603 - words of our own
        [sys.executable, "-m", "concord_client.command", *words],
        env=nodes.environment,
        stderr=subprocess.PIPE,
        text=True,
    )
