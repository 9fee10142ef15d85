"""The networks that draw, of diffusion models and GANs, at published sizes; and the loops that run them.

Weights are random, from a seed, for timing only. One after the other is exported, measured and removed. What is known
is kept after each: an interrupted run is continued with `--rows`, which names those that it lacks.
"""

from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from shutil import rmtree
from typing import Any, TypeAlias

from pydantic import TypeAdapter

from benchmarks import OUTPUT
from benchmarks.family.apart import apart
from benchmarks.family.forms import Row, in_words, measured
from benchmarks.family.loops import LOOPS, Overhead, at_once, overhead
from benchmarks.family.networks import publish_ldm_sr
from benchmarks.family.subjects import SUBJECTS
from benchmarks.floors.forms import EAGER
from benchmarks.floors.published import serving
from benchmarks.floors.side_by_side import SideBySide
from benchmarks.machine import named_machine
from concord.instruments.markdown import table, times
from concord.server.embedded import EmbeddedServer
from concord_client.atomic_file import write_atomically

MOST_OVER_BARE, MOST_AT_ONCE = 1.03, 0.85
KEPT = "family.json"
OVERHEAD, REQUESTS = "overhead", "requests_"
LOOP_ROWS: dict[str, tuple[Callable[[Path], None], Callable[[EmbeddedServer, Path, int], SideBySide | Overhead]]] = {
    OVERHEAD: (publish_ldm_sr, overhead),
    **{f"{REQUESTS}{loop.model}": (loop.publish, partial(at_once, loop)) for loop in LOOPS},
}
"""What exports their networks, and what measures them."""
ROWS = (*(subject.name for subject in SUBJECTS), *LOOP_ROWS)
Found: TypeAlias = Row | SideBySide | Overhead | str


@dataclass
class Numbers:
    """By row, what was measured, or the problem."""

    rows: dict[str, Row] = field(default_factory=dict)
    overhead: Overhead | None = None
    requests: dict[str, SideBySide] = field(default_factory=dict)
    problems: dict[str, str] = field(default_factory=dict)

    def add(self, name: str, found: Found) -> None:
        """What was found for a row takes the place of what was known of it; a problem stands beside it."""
        self.problems.pop(name, None)
        match found:
            case Row():
                self.rows[name] = found
                self.rows = {each: self.rows[each] for each in ROWS if each in self.rows}
            case SideBySide():
                self.requests[name] = found
            case Overhead():
                self.overhead = found
            case str():
                self.problems[name] = found


def measure(rows: Collection[str] = ROWS, rounds: int = 5, output: Path = OUTPUT) -> Numbers:
    """All that is known of this machine, after these rows were measured."""
    output.mkdir(parents=True, exist_ok=True)
    kept, machine, form = output / KEPT, named_machine(), TypeAdapter(tuple[dict[str, Any], Numbers])
    earlier, numbers = form.validate_json(kept.read_bytes()) if kept.exists() else (machine, Numbers())
    if earlier != machine:
        numbers = Numbers()
    for name, found in measurements(rows, output / "family", rounds):
        numbers.add(name, found)
        write_atomically(kept, form.dump_json((machine, numbers), indent=1))
    return numbers


def measurements(rows: Collection[str], place: Path, rounds: int) -> Iterator[tuple[str, Found]]:
    """Name and numbers of these rows, or a problem; exports lie in a folder, which is removed."""
    yield from measured([subject for subject in SUBJECTS if subject.name in rows], place, rounds)
    for name, (publish, measuring) in LOOP_ROWS.items():
        if name in rows:
            rmtree(place, ignore_errors=True)
            try:
                with apart() as process:
                    process.run(publish, place)
                with serving(place, only={path.name for path in place.iterdir()}) as server:
                    found: Found = measuring(server, place, rounds)
            except Exception as error:
                found = in_words(error)
            yield name, found
    rmtree(place, ignore_errors=True)


def section(numbers: Numbers) -> str:
    parts = [networks(numbers.rows), goals(numbers.rows), above_bare(numbers.overhead), together(numbers.requests)]
    problems = [f"- `{name}`: {problem}" for name, problem in all_problems(numbers)]
    parts += ["Not measured:\n\n" + "\n".join(problems)] if problems else []
    title = "## Networks that draw, published sizes, random weights, batch 1"
    return "\n\n".join([title, *filter(None, parts)])


def networks(rows: dict[str, Row]) -> str:
    """A table of every form of every network; empty without any."""
    lines: list[list[object]] = []
    for name, row in rows.items():
        what: list[object] = [f"`{name}`", f"`{row.network}`", row.shape]
        eager = f"{EAGER}, {row.classes}"
        lines.append([*what, eager, row.eager["p50"], "", row.eager_mib, 4 * row.millions, ""])
        for form, each in row.forms.items():
            snr = "" if each.snr_db is None else f"{each.snr_db:.1f}"
            lines.append(
                [*what, form, each.milliseconds["p50"], each.eager_over, each.peak_mib, each.megabytes, snr],
            )
    header = ["checkpoint", "network", "first input", "form", "ms", "eager takes times as long", "peak MiB", "MB", "dB"]
    note = (
        "Every form has a process of its own, and takes turns with PyTorch, with as many threads. The peak is what its "
        "process took to load the network and to run it once. dB are of signal to noise against ONNX Runtime in FP32: "
        "the gates of pictures, which a form passes before it is served, say nothing of random weights."
    )
    return f"{table(header, lines)}\n\n{note}" if rows else ""


def goals(rows: dict[str, Row]) -> str:
    """A table of the fastest form of every network that has a goal."""
    lines = []
    for name, row in rows.items():
        if row.goal is not None and row.forms:
            form, fastest = max(row.forms.items(), key=lambda item: item[1].eager_over)
            reached = "yes" if fastest.eager_over >= row.goal else "no"
            lines.append([f"`{name}`", form, fastest.eager_over, row.goal, reached])
    header = ["checkpoint", "fastest form", "eager takes times as long", "goal", "reached"]
    return table(header, lines) if lines else ""


def above_bare(found: Overhead | None) -> str:
    """What loop, transport and server add."""
    if found is None:
        return ""
    return (
        f"### Loop, transport and Triton\n\n`{found.model}` at its published size, {found.steps} steps of a window:\n\n"
        f"{times(found.milliseconds)}\n\nEnd to end takes {found.over_bare:.3f} times the bare networks; at most "
        f"{MOST_OVER_BARE} is the goal."
    )


def together(requests: dict[str, SideBySide]) -> str:
    """Requests at once, by loop; empty without any."""
    lines = []
    for name, each in requests.items():
        in_turn, together_ms = (each.milliseconds[order]["p50"] for order in ("in turn", "at once"))
        ratio, batch = each.at_once_over_in_turn, each.mean_unet_batch
        lines.append([f"`{name.removeprefix(REQUESTS)}`", each.requests, in_turn, together_ms, ratio, batch])
    header = ["model", "requests", "in turn, ms", "at once, ms", "at once over in turn", "samples a run"]
    goal = f"At most {MOST_AT_ONCE} of the time in turn is the goal of those that go in steps."
    title = f"### Requests at once, small networks\n\n{goal}"
    return f"{title}\n\n{table(header, lines)}" if requests else ""


def all_problems(numbers: Numbers) -> Iterator[tuple[str, str]]:
    yield from numbers.problems.items()
    for name, row in numbers.rows.items():
        yield from ((name, f"{form}: {problem}") for form, problem in row.problems.items())
