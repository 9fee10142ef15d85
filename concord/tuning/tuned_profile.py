"""The profile ``tuned``: each network's chosen configuration, and a record of the reasons."""

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from concord.tuning.choice import Choice, changed, in_words
from concord.tuning.stopwatch import Times
from concord.variants import TUNED, Variant, variants
from concord_client.atomic_file import write_atomically


@dataclass(frozen=True)
class Row:
    """A variant, its time, and why it was chosen or not; None for a variant that was not timed."""

    variant: Variant
    milliseconds: float | None
    verdict: str


def rows(choice: Choice, times: Times, problems: Mapping[Variant, str]) -> Iterator[Row]:
    """Every examined variant, by network.

    Args:
        problems: why variants were not timed, in addition to those in `times`.
    """
    reasons = {**problems, **times.problems}
    for variant in sorted({*times.milliseconds, *reasons}, key=lambda each: (each.model, each.profile)):
        if variant in reasons:
            yield Row(variant, None, reasons[variant])
        else:
            yield Row(variant, times.median(variant), _verdict(variant, choice, times))


def _verdict(variant: Variant, choice: Choice, times: Times) -> str:
    if any(variant in combination for combination in choice.combinations.values()):
        return "chosen"
    chosen = [each for combination in choice.combinations.values() for each in combination]
    if not any(each.model == variant.model for each in chosen):
        return "its pipeline lacks a network"
    for refusal in choice.refusals:
        if variant in refusal.combination and times.median(variant) < times.median(choice.variant(variant.model)):
            others = in_words(tuple(each for each in changed(refusal.combination) if each != variant))
            return f"refused{f' with {others}' if others else ''}: {'; '.join(refusal.failed)}"
    return "slower"


def write(
    repositories: Iterable[Path], choice: Choice, times: Times, table: Iterable[Row], machine: Mapping[str, Any]
) -> list[Path]:
    """Writes the configuration of every chosen variant as the profile, and the record beside it; gives their paths.

    Networks without a choice lose their profile: it was chosen among other files.
    """
    chosen = {each.model: each for combination in choice.combinations.values() for each in combination}
    by_model: dict[str, list[Row]] = {}
    for row in table:
        by_model.setdefault(row.variant.model, []).append(row)
    written = []
    for model, profiles in variants(repositories).items():
        if model in chosen:
            folder = chosen[model].version.parent / "configs"
            folder.mkdir(exist_ok=True)
            record = {
                "model": model,
                "chosen": chosen[model].profile,
                "machine": dict(machine),
                "variants": {row.variant.profile: _entry(row, times) for row in by_model[model]},
                "gate": asdict(gate) if (gate := choice.gate(model)) else None,
            }
            write_atomically(folder / f"{TUNED}.json", (json.dumps(record, indent=2) + "\n").encode())
            written.append(folder / f"{TUNED}.pbtxt")
            write_atomically(written[-1], chosen[model].config.read_bytes())
        elif TUNED in profiles:
            profiles[TUNED].config.unlink()
            profiles[TUNED].config.with_suffix(".json").unlink(missing_ok=True)
    return written


def _entry(row: Row, times: Times) -> dict[str, Any]:
    return {
        "file": row.variant.file,
        "precision": row.variant.precision,
        "p50_ms": row.milliseconds,
        "rounds_ms": times.milliseconds.get(row.variant, []),
        "verdict": row.verdict,
    }
