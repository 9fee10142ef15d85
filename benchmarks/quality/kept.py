"""Results that are written as they come, so that a stopped run goes on where it was."""

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Generic, TypedDict, TypeVar, cast

from tqdm import tqdm  # type: ignore[import-untyped]

from annotation.record import DatasetError
from benchmarks.quality.pictures import LeftOut
from benchmarks.quality.referrals import Key, Referral
from concord_client.atomic_file import write_atomically

AT_ONCE = 2


class Scored(TypedDict):
    """What every result tells: the composite, its sub-set, and the expression or None."""

    name: str
    subset: str
    expression: str | None


R = TypeVar("R", bound=Scored)


@dataclass(frozen=True)
class Kept(Generic[R]):
    """All results in the order wanted, a line for each that was left out, and how many wait for a later run."""

    results: list[R]
    left_out: list[str]
    waiting: int

    @property
    def missing(self) -> list[str]:
        """A line for everything that has no result."""
        return [*self.left_out, *[f"{self.waiting} not scored yet: the same command continues"] * bool(self.waiting)]


def kept(
    output: Path,
    settings: Mapping[str, Any],
    wanted: Sequence[Referral],
    measure: Callable[[Referral], R],
    limit: int | None = None,
) -> Kept[R]:
    """Measures what earlier runs left, at most `limit` of it, and keeps each result in `output` as soon as it is known.

    Raises:
        DatasetError: the folder holds results of other settings.
    """
    done = resume(output, settings)
    waiting = [each for each in wanted if each.key not in done]
    left_out = []
    with (output / "results.jsonl").open("a", encoding="utf-8") as results:
        for referral, outcome in measured(waiting[:limit], measure):
            if isinstance(outcome, LeftOut):
                left_out.append(f"{referral}: {outcome}")
            else:
                done[referral.key] = outcome
                print(json.dumps(outcome), file=results, flush=True)
    found = [cast(R, done[each.key]) for each in wanted if each.key in done]
    return Kept(found, sorted(left_out), len(waiting) - len(waiting[:limit]))


def measured(waiting: Sequence[Referral], measure: Callable[[Referral], R]) -> Iterator[tuple[Referral, R | LeftOut]]:
    """Each result, as soon as it is known."""
    with ThreadPoolExecutor(AT_ONCE) as pool:
        asked = {pool.submit(measure, referral): referral for referral in waiting}
        try:
            for answer in tqdm(as_completed(asked), "scoring", len(asked)):
                try:
                    yield asked[answer], answer.result()
                except LeftOut as reason:
                    yield asked[answer], reason
        finally:
            pool.shutdown(cancel_futures=True)


def resume(output: Path, settings: Mapping[str, Any]) -> dict[Key, Scored]:
    """Results of an earlier run, without an incomplete line; DatasetError if it had other settings."""
    output.mkdir(parents=True, exist_ok=True)
    path = output / "settings.json"
    if not path.exists():
        path.write_text(json.dumps(settings) + "\n")
    elif json.loads(path.read_text()) != settings:
        raise DatasetError(f"{output} holds results of other settings; choose another --output")
    results = output / "results.jsonl"
    lines = results.read_bytes().splitlines(keepends=True) if results.is_file() else []
    whole = [line for line in lines if line.endswith(b"\n")]
    if whole != lines:
        write_atomically(results, b"".join(whole))
    return {(each["name"], each.get("expression")): each for each in map(json.loads, whole)}
