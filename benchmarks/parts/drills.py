"""Drills: kills, attacks and long use of the service; what was lost, and what it cost everybody else."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from benchmarks.drills import attacked, clock, damaged, endurance, full, kills
from benchmarks.drills.damaged import Damaged
from benchmarks.drills.endurance import Footprint
from benchmarks.drills.hardship import Hardship
from benchmarks.drills.kills import Kill, Kills
from benchmarks.drills.watched import Watched
from concord.instruments.markdown import table


@dataclass(frozen=True)
class Numbers:
    """The drills, in the order in which they are made."""

    kills: Kills
    attacks: list[Watched]
    hardships: list[Hardship]
    damaged: Damaged
    endurance: list[Footprint]


def measure() -> Numbers:
    hardships = [*full.measure(), *clock.measure()]
    return Numbers(kills.measure(), attacked.measure(), hardships, damaged.measure(), endurance.measure())


def section(numbers: Numbers) -> str:
    parts = (
        killed(numbers.kills),
        attacks(numbers.attacks),
        endured(numbers.hardships),
        files(numbers.damaged),
        long_use(numbers.endurance),
    )
    return "\n\n".join(("## Drills", *parts))


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


def endured(found: Sequence[Hardship]) -> str:
    header = ["what", "asked", "amid", "afterwards", "gap s, amid", "gap s, afterwards", "MiB", "MiB there"]
    rows: list[list[object]] = []
    for each in found:
        memory, room = span(each.memory_mib), span(each.room_mib)
        for name, amid in each.amid.items():
            after = each.after[name]
            gaps = [amid.longest_gap, after.longest_gap]
            rows.append([each.name, name, told(amid.statuses), told(after.statuses), *gaps, memory, room])
        if each.skipped:
            rows.append([each.name, f"skipped: {each.skipped}", *"------"])
    words = (
        "Amid each, a client of each kind asks again and again; then tritonserver is killed, and some seconds later it "
        "is over. Counted are answers by status: 507 says that there is no room. Memory is that of all processes "
        "before and after; *there* is the file system that is full, or shared memory."
    )
    changed = [f"- {each.name}: {', '.join(each.changed)} is not as it was before" for each in found if each.changed]
    lost = ["\n".join(changed)] if changed else []
    return "\n\n".join(("### Full disks, and clocks", words, table(header, rows), *lost))


def files(found: Damaged) -> str:
    rows = [[kind, told(answers)] for kind, answers in found.answers.items()]
    words = (
        f"{found.files} files, each made from a good one by changes that a seed chooses; over HTTP to be harmonized, "
        f"and over gRPC to be decoded, in turn. Answers that are not declared: {', '.join(found.wrong) or 'none'}; "
        f"processes that ended: {found.ended}; memory of all processes after the first files and after all: "
        f"{span(found.memory_mib)} MiB."
    )
    return "\n\n".join(("### Damaged files", words, table(["made from", "answers"], rows)))


def long_use(found: Sequence[Footprint]) -> str:
    header = ["requests", "MiB", "descriptors", "threads", "MiB shared"]
    rows = [[each.requests, each.memory, each.descriptors, each.threads, each.shared_memory] for each in found]
    words = "Small pictures through a network that answers at once; facade and Triton together."
    return "\n\n".join(("### Many requests", words, table(header, rows)))
