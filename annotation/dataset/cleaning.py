"""Cleaning: what of the annotations is kept, what a person should look at, and what is removed for which reason."""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from annotation.dataset.duplicates import alike
from annotation.dataset.patterns import mended
from annotation.record import Annotation, Record, Skipped

SKIPPED = "skipped by its annotator"
BADLY_FOUND = "IoU below the least"
DOUBLED = "nearly the same as another of its composite"
TOO_MANY = "more than a composite may have"
"""Reasons besides those of `patterns.REFUSED`."""


@dataclass(frozen=True)
class Rules:
    """What is kept.

    Attributes:
        least: expressions with a lower IoU are removed.
        low: those with a lower one are kept, and listed for a second look.
        most: expressions a composite; those with the highest IoU are kept.
    """

    least: float = 0.1
    low: float = 0.5
    most: int = 4


@dataclass(frozen=True)
class Removed:
    """A record that was removed, as it was, and why."""

    record: Record
    reason: str


@dataclass(frozen=True)
class Cleaned:
    """What cleaning found, each list in the order of the records.

    Attributes:
        kept: expressions, repaired.
        low: those of the kept that a person should look at, the lowest IoU first.
        unknown: those of the kept whose IoU is not known.
        removed: all others.
        repaired: how many of the kept have other characters than before.
        composites: how many there were.
    """

    kept: list[Annotation]
    low: list[Annotation]
    unknown: list[Annotation]
    removed: list[Removed]
    repaired: int
    composites: int

    @property
    def reasons(self) -> dict[str, int]:
        """How many records were removed for each reason, the most first."""
        return dict(Counter(each.reason for each in self.removed).most_common())


def clean(records: Iterable[Record], rules: Rules) -> Cleaned:
    """Sorts out annotations. Nothing of what is given is changed."""
    removed: dict[int, str] = {}
    given = list(records)
    usable: dict[int, Annotation] = {}
    for place, record in enumerate(given):
        reason, text = _judged(record, rules)
        if reason or isinstance(record, Skipped):
            removed[place] = reason
        else:
            usable[place] = replace(record, expression=text)
    by_composite: dict[str, list[int]] = {}
    for place, annotation in usable.items():
        by_composite.setdefault(annotation.composite, []).append(place)
    for places in by_composite.values():
        removed |= _surplus(usable, places, rules.most)
    kept = {place: annotation for place, annotation in usable.items() if place not in removed}
    low = [each for each in kept.values() if each.iou is not None and each.iou < rules.low]
    return Cleaned(
        kept=list(kept.values()),
        low=sorted(low, key=_found),
        unknown=[each for each in kept.values() if each.iou is None],
        removed=[Removed(given[place], removed[place]) for place in sorted(removed)],
        repaired=sum(annotation != given[place] for place, annotation in kept.items()),
        composites=len({record.composite for record in given}),
    )


def _judged(record: Record, rules: Rules) -> tuple[str, str]:
    """Why a record is removed, empty if it is not, and its repaired expression."""
    if isinstance(record, Skipped):
        return SKIPPED, ""
    text, reason = mended(record.expression)
    badly_found = record.iou is not None and record.iou < rules.least
    return reason or (BADLY_FOUND if badly_found else ""), text


def _surplus(usable: dict[int, Annotation], places: Sequence[int], most: int) -> dict[int, str]:
    """Of the expressions of one composite, those that are removed beside better ones, and why.

    Better is the higher IoU, and of equal ones the earlier.
    """
    taken: list[int] = []
    removed = {}
    for place in sorted(places, key=lambda place: (-_found(usable[place]), place)):
        if any(alike(usable[place].expression, usable[other].expression) for other in taken):
            removed[place] = DOUBLED
        elif len(taken) == most:
            removed[place] = TOO_MANY
        else:
            taken.append(place)
    return removed


def _found(annotation: Annotation) -> float:
    """The IoU; below all others where it is not known."""
    return -1.0 if annotation.iou is None else annotation.iou
