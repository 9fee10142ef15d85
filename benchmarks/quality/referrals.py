"""What is scored: a composite, or a composite with one of the texts that name its foreground."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from annotation.iharmony4 import SUBSETS, Dataset, Sample

Key = tuple[str, str | None]
"""A composite's name, and an expression or None."""


@dataclass(frozen=True)
class Referral:
    """A composite whose foreground is named by an expression, or given as its mask where that is None."""

    sample: Sample
    expression: str | None

    @property
    def key(self) -> Key:
        return self.sample.name, self.expression

    def __str__(self) -> str:
        return self.sample.name if self.expression is None else f'{self.sample.name}, "{self.expression}"'


@dataclass(frozen=True)
class Referrals:
    """What is scored, in the order of the composites' names, and a line for everything that is missing.

    Attributes:
        composites: how many there are, with those that lack a file or an expression.
        lacking: how many of them do.
    """

    found: list[Referral]
    missing: list[str]
    composites: int
    lacking: int


def referrals(dataset: Dataset, expressions: Mapping[str, Sequence[str]] | None) -> Referrals:
    """Each composite with each of its expressions.

    Args:
        expressions: by the composite's name; None where masks are given: then each composite once.
    """
    there = {sample.subset for sample in dataset.samples}
    missing = [f"{subset}: no such sub-set" for subset in SUBSETS if subset not in there]
    missing += dataset.missing
    composites = len(dataset.samples) + len(dataset.missing)
    if expressions is None:
        found = [Referral(sample, None) for sample in dataset.samples]
        return Referrals(found, missing, composites, len(dataset.missing))
    without = [f"{sample.name}: no expression" for sample in dataset.samples if not expressions.get(sample.name)]
    missing += without
    if strange := expressions.keys() - {sample.name for sample in dataset.samples}:
        missing.append(
            f"{len(strange)} composites that have expressions, such as {min(strange)}: not in the data set, or not in "
            "its lists of the test set"
        )
    found = [Referral(sample, each) for sample in dataset.samples for each in expressions.get(sample.name, ())]
    return Referrals(found, missing, composites, len(dataset.missing) + len(without))
