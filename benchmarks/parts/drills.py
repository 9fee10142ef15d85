"""Drills: kills, attacks and long use of the service; what was lost, and what it cost everybody else."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from benchmarks.drills import attacked, endurance, kills
from benchmarks.drills.endurance import Footprint
from benchmarks.drills.kills import Kill, Kills
from benchmarks.drills.watched import Watched
from concord.instruments.markdown import table


@dataclass(frozen=True)
class Numbers:
    """The drills, in the order in which they are made."""

    kills: Kills
    attacks: list[Watched]
    endurance: list[Footprint]


def measure() -> Numbers:
    return Numbers(kills.measure(), attacked.measure(), endurance.measure())


def section(numbers: Numbers) -> str:
    return "\n\n".join(("## Drills", killed(numbers.kills), attacks(numbers.attacks), long_use(numbers.endurance)))


def killed(numbers: Kills) -> str:
    rows = [row(each) for each in numbers.kills]
    header = ["killed", "lost, others", "lost, its own", "gap s, others", "gap s, its own", "MiB", "MiB shared"]
    failures = [
        f"- {each.killed}, {name}: {told(kind.statuses)}: {kind.words[:200]}"
        for each in numbers.kills
        for name, kind in each.kinds.items()
        if kind.failed
    ]
    return "\n\n".join(
        (
            "### Kills",
            f"Demo weights; {numbers.clients} clients, as many for each public model, ask the least over HTTP for "
            f"{numbers.before + numbers.after:g} s. After {numbers.before:g} s a process is killed with SIGKILL; the "
            "drill then starts the facade again, and the facade all else. *Its own* are the pipelines that need what "
            "was killed. A gap is the longest time between good answers of one pipeline; memory is before and after.",
            table(header, rows),
            *(["\n".join(failures)] if failures else []),
        )
    )


def row(drill: Kill) -> Sequence[object]:
    others = [kind for name, kind in drill.kinds.items() if name not in drill.hit]
    own = [kind for name, kind in drill.kinds.items() if name in drill.hit]
    lost = [sum(each.failed for each in kinds) if kinds else "-" for kinds in (others, own)]
    gaps = [max(each.longest_gap for each in kinds) if kinds else "-" for kinds in (others, own)]
    return [drill.killed, *lost, *gaps, span(drill.memory_mib), span(drill.shared_mib)]


def span(values: Sequence[float]) -> str:
    return " to ".join(f"{value:.0f}" for value in values)


def told(statuses: Mapping[str, int]) -> str:
    return ", ".join(f"{count} x {status}" for status, count in statuses.items())


def attacks(found: Sequence[Watched]) -> str:
    header = [
        "attack",
        "answers",
        "health ms, slowest",
        "another key, ms",
        "times",
        "its failures",
        "MiB",
        "descriptors",
    ]
    rows = [
        [
            each.attack,
            told(each.answers),
            f"{each.health_ms[1]:.0f} ({each.health_ms[0]:.0f} before)",
            f"{each.others_ms[0]:.0f} to {each.others_ms[1]:.0f}",
            each.others_ms[1] / each.others_ms[0],
            told({status: count for status, count in each.others.items() if status != "200"}) or "0",
            span(each.memory_mib),
            span(each.descriptors),
        ]
        for each in found
    ]
    words = (
        "Another key harmonizes a 512x384 JPEG by mask again and again, before and amid each attack: medians. Memory "
        "of the facade's process is before, at most, and after; descriptors are before and after."
    )
    return "\n\n".join(("### Attacks", words, table(header, rows)))


def long_use(found: Sequence[Footprint]) -> str:
    header = ["requests", "MiB", "descriptors", "threads", "MiB shared"]
    rows = [[each.requests, each.memory, each.descriptors, each.threads, each.shared_memory] for each in found]
    words = "Small pictures through a network that answers at once; facade and Triton together."
    return "\n\n".join(("### Many requests", words, table(header, rows)))
