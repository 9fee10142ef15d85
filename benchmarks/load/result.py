"""The result of a load: percentiles, throughput, errors by kind, and whether the measurement was stable."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from benchmarks.load.generator import LOST, Replies, Reply, milliseconds
from concord.errors import typed_error
from concord.instruments.markdown import significant
from concord.instruments.stages import Stage

QUANTILES = (50, 90, 95, 99)
LAST_WINDOWS = 3
TOLERANCE_PERCENT = 10.0


@dataclass(frozen=True)
class Window:
    """A part of the measurement: requests that were due in it, p50 in milliseconds, and answers per second."""

    seconds: float
    asked: int
    p50: float | None
    per_second: float


@dataclass(frozen=True)
class LoadResult:
    """The result of a load; milliseconds are p50, p90, p95, p99, mean and max of the answered requests, if any.

    Attributes:
        errors: by kind: their number, and the message of one.
        unstable: why the last windows contradict each other; empty if they do not.
        stages: the work of Triton's models meanwhile, if it was read.
        server: if it was started here, its CPU seconds and their duration, its memory before and at most, in MiB.
    """

    load: str
    asked: int
    answered: int
    seconds: float
    milliseconds: dict[str, float]
    per_second: float
    errors: dict[str, dict[str, Any]]
    windows: list[Window]
    unstable: str
    stages: dict[str, Stage] = field(default_factory=dict)
    server: dict[str, float] = field(default_factory=dict)


def summarize(
    load: str,
    replies: Replies,
    seconds: float,
    closed: bool,
    window: float | None = None,
    tolerance: float = TOLERANCE_PERCENT,
) -> LoadResult:
    """A load's result, from its replies.

    Args:
        seconds: for which requests were due; a window has `window` of them, by default a fifth.
        tolerance: percent by which p50 and throughput of the last three windows may differ from their mean.
    """
    window = window or seconds / 5
    edges = [number * window for number in range(int(seconds / window + 1e-9))]
    windows = [_window(replies, edge, edge + window, closed) for edge in edges]
    times = milliseconds(replies, accepted=True)
    summary = {}
    if times:
        summary = {f"p{quantile}": float(np.percentile(times, quantile)) for quantile in QUANTILES}
        summary |= {"mean": float(np.mean(times)), "max": max(times)}
    return LoadResult(
        load=load,
        asked=len(replies),
        answered=len(times),
        seconds=seconds,
        milliseconds=summary,
        per_second=answers(replies, 0, seconds, closed) / seconds,
        errors=errors(replies),
        windows=windows,
        unstable=unstable(windows, closed, tolerance),
    )


def answers(replies: Replies, begin: float, end: float, closed: bool) -> float:
    """Answers between two times of a load, in seconds from its start.

    A closed loop's answer counts in each window by the share of its time in it: its clients are always busy, so that a
    few long requests have a throughput, too. An open loop's answer counts when it arrives.
    """
    if not closed:
        return sum(reply.good and begin <= reply.due + reply.seconds < end for reply in replies)
    return sum(
        max(min(reply.due + reply.seconds, end) - max(reply.due, begin), 0) / reply.seconds
        for reply in replies
        if reply.good
    )


def errors(replies: Replies) -> dict[str, dict[str, Any]]:
    """Requests without an answer by kind, the most frequent first: their number, and the message of the first."""
    kinds: dict[str, dict[str, Any]] = {}
    for reply in replies:
        if not reply.good:
            kinds.setdefault(kind(reply), {"count": 0, "words": reply.words})["count"] += 1
    return dict(sorted(kinds.items(), key=lambda item: -item[1]["count"]))


def kind(reply: Reply) -> str:
    """The status of a refusal, with the code of Concord's typed error if it has one."""
    if reply.status == LOST:
        return "lost"
    typed = typed_error(reply.words)
    return f"{reply.status} {typed.code}" if typed else str(reply.status)


def unstable(windows: Sequence[Window], closed: bool, tolerance: float) -> str:
    """Why the last three windows are not reliable; empty if p50 and throughput stay within the tolerance.

    An open loop's throughput is divided by the number of requests that were due in the window, which is random.
    """
    last = windows[-LAST_WINDOWS:]
    p50 = [window.p50 for window in last if window.p50 is not None]
    if len(p50) < LAST_WINDOWS:
        return f"answers in only {len(p50)} of the last {LAST_WINDOWS} windows; give it more seconds"
    throughput = [each.per_second if closed else each.per_second * each.seconds / each.asked for each in last]
    measures = {"p50": (p50, "ms"), "throughput": (throughput, "a second" if closed else "of what was asked")}
    for name, (values, unit) in measures.items():
        mean = float(np.mean(values))
        if max(abs(value - mean) for value in values) > tolerance / 100 * mean:
            return f"{name} of the last {LAST_WINDOWS} windows: {', '.join(map(significant, values))} {unit}"
    return ""


def _window(replies: Replies, begin: float, end: float, closed: bool) -> Window:
    due = [reply for reply in replies if begin <= reply.due < end]
    times = milliseconds(due, accepted=True)
    return Window(
        seconds=end - begin,
        asked=len(due),
        p50=float(np.median(times)) if times else None,
        per_second=answers(replies, begin, end, closed) / (end - begin),
    )
